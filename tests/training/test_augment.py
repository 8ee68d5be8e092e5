import torch

from oodguard.training.data.augment import blur, random_blur, shift_and_mirror, vary


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_without_a_margin_an_image_is_kept_or_mirrored() -> None:
    images = torch.randint(0, 256, (200, 5, 7, 3), dtype=torch.uint8, generator=_generator())
    out = shift_and_mirror(images, _generator(), margin=0)
    kept = (out == images).all(dim=(1, 2, 3))
    mirrored = (out == images.flip(2)).all(dim=(1, 2, 3))
    assert (kept ^ mirrored).all()
    assert 60 < mirrored.sum() < 140


def test_every_shift_of_the_margin_occurs_and_its_edge_is_reflected() -> None:
    row = torch.arange(8, dtype=torch.uint8)
    images = row[:, None, None].expand(8, 8, 3).expand(500, 8, 8, 3)
    columns = shift_and_mirror(images, _generator(), margin=2)[:, :, 0, 0]
    wanted = {
        (2, 1, 0, 1, 2, 3, 4, 5),
        (1, 0, 1, 2, 3, 4, 5, 6),
        (0, 1, 2, 3, 4, 5, 6, 7),
        (1, 2, 3, 4, 5, 6, 7, 6),
        (2, 3, 4, 5, 6, 7, 6, 5),
    }
    assert {tuple(column.tolist()) for column in columns} == wanted


def test_blur_spreads_a_point_by_the_binomial_kernel() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 16.0
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    torch.testing.assert_close(blur(image)[0, 0], expected)


def test_blur_keeps_a_flat_image_and_is_drawn_for_each_image() -> None:
    flat = torch.full((4, 3, 8, 8), 0.3)
    torch.testing.assert_close(random_blur(flat, _generator(), largest=1.0), flat)
    point = torch.zeros(50, 1, 5, 5)
    point[:, 0, 2, 2] = 1.0
    peak = random_blur(point, _generator(), largest=0.8)[:, 0, 2, 2]
    # The peak of the blurred point is 1/4: a weight w leaves 1 - 3/4 w, so 0.4 to 1.
    assert peak.min() >= 1 - 0.75 * 0.8
    assert peak.max() <= 1
    assert len(peak.unique()) == 50


def test_without_mirroring_nothing_is_mirrored() -> None:
    images = torch.randint(0, 256, (50, 5, 7, 3), dtype=torch.uint8, generator=_generator())
    assert torch.equal(shift_and_mirror(images, _generator(), margin=0, mirror=False), images)


def test_varied_images_are_pixels_and_grey_half_of_the_time() -> None:
    pixels = torch.rand(400, 3, 16, 16, generator=_generator())
    varied = vary(pixels, _generator())
    assert varied.shape == pixels.shape
    assert varied.min() >= 0
    assert varied.max() <= 1
    grey = (varied == varied[:, :1]).all(dim=(1, 2, 3)).float().mean()
    assert 0.4 < grey < 0.6


def test_a_frame_is_of_one_level_and_leaves_the_middle() -> None:
    varied = vary(torch.full((200, 3, 16, 16), 0.5), _generator())
    framed = varied[varied[:, 0, 0, 0] != varied[:, 0, 8, 8]]
    assert len(framed) > 50
    edge = torch.cat([framed[:, :, 0].flatten(1), framed[:, :, -1].flatten(1)], dim=1)
    assert ((edge == 0) | (edge == 1)).all()
    assert (edge == edge[:, :1]).all()
