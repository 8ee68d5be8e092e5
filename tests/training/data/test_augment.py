import pytest
import torch

from oodguard.training.data.augment import (
    blur,
    distort,
    random_blur,
    relight,
    shift_and_mirror,
    vary,
    warp,
)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_images_are_mirrored_half_of_the_time_unless_mirror_is_false() -> None:
    images = torch.randint(0, 256, (200, 5, 7, 3), dtype=torch.uint8, generator=_generator())
    out = shift_and_mirror(images, _generator(), margin=0)
    kept = (out == images).all(dim=(1, 2, 3))
    mirrored = (out == images.flip(2)).all(dim=(1, 2, 3))
    assert (kept ^ mirrored).all()
    assert 60 < mirrored.sum() < 140
    assert torch.equal(shift_and_mirror(images, _generator(), margin=0, mirror=False), images)


def test_shifts_cover_the_margin_and_reflect_the_border() -> None:
    row = torch.arange(8, dtype=torch.uint8)
    images = row[:, None, None].expand(8, 8, 3).expand(500, 8, 8, 3)
    columns = shift_and_mirror(images, _generator(), margin=2)[:, :, 0, 0]
    expected = {
        (2, 1, 0, 1, 2, 3, 4, 5),
        (1, 0, 1, 2, 3, 4, 5, 6),
        (0, 1, 2, 3, 4, 5, 6, 7),
        (1, 2, 3, 4, 5, 6, 7, 6),
        (2, 3, 4, 5, 6, 7, 6, 5),
    }
    assert {tuple(column.tolist()) for column in columns} == expected


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shifts_reflect_images_that_are_smaller_than_the_margin(size: int) -> None:
    row = torch.arange(size, dtype=torch.uint8)
    images = row[:, None, None].expand(size, size, 3).expand(500, size, size, 3)
    columns = shift_and_mirror(images, _generator(), margin=4)[:, :, 0, 0]
    path = [*range(size), *range(size - 2, 0, -1)]  # forth and back
    expected = {tuple(path[(at + shift) % len(path)] for at in range(size)) for shift in range(9)}
    assert {tuple(column.tolist()) for column in columns} == expected


def test_blur_is_the_binomial_kernel() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 16.0
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    torch.testing.assert_close(blur(image)[0, 0], expected)


def test_random_blur_weight_is_drawn_per_image_and_keeps_flat_images() -> None:
    flat = torch.full((4, 3, 8, 8), 0.3)
    torch.testing.assert_close(random_blur(flat, _generator(), largest=1.0), flat)
    point = torch.zeros(50, 1, 5, 5)
    point[:, 0, 2, 2] = 1.0
    peak = random_blur(point, _generator(), largest=0.8)[:, 0, 2, 2]
    # The peak of the blurred point is 1/4: a weight w leaves 1 - 3/4 w, so 0.4 to 1.
    assert peak.min() >= 1 - 0.75 * 0.8
    assert peak.max() <= 1
    assert len(peak.unique()) == 50


def test_varied_images_are_grey_half_of_the_time_and_in_range() -> None:
    pixels = torch.rand(400, 3, 16, 16, generator=_generator())
    varied = vary(pixels, _generator())
    assert varied.shape == pixels.shape
    assert varied.min() >= 0
    assert varied.max() <= 1
    grey = (varied == varied[:, :1]).all(dim=(1, 2, 3)).float().mean()
    assert 0.4 < grey < 0.6


def test_frame_is_black_or_white_and_leaves_the_middle() -> None:
    varied = vary(torch.full((200, 3, 16, 16), 0.5), _generator())
    framed = varied[varied[:, 0, 0, 0] != varied[:, 0, 8, 8]]
    assert len(framed) > 50
    edge = torch.cat([framed[:, :, 0].flatten(1), framed[:, :, -1].flatten(1)], dim=1)
    assert ((edge == 0) | (edge == 1)).all()
    assert (edge == edge[:, :1]).all()


def test_half_of_the_images_are_distorted_differently_and_none_at_strength_zero() -> None:
    pixel = torch.rand(1, 3, 16, 16, generator=_generator()).expand(200, 3, 16, 16)
    torch.testing.assert_close(distort(pixel, _generator(), strength=0.0), pixel)
    out = distort(pixel, _generator(), strength=1.0)
    assert out.shape == pixel.shape
    assert 0 <= out.min() <= out.max() <= 1
    changed = (out != pixel).any(dim=(1, 2, 3))
    assert 70 < changed.sum() < 130
    assert len({tuple(image.flatten().tolist()) for image in out[changed]}) == changed.sum()


def test_warp_keeps_the_centre_and_respects_the_largest_zoom() -> None:
    # Every pixel holds its own row and column, so a warped pixel shows where it was read from.
    size = 33
    line = torch.linspace(0, 1, size)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    positions = torch.stack([rows, columns, rows])[None].expand(400, 3, size, size)
    out = warp(positions, _generator(), strength=1.0)
    middle = size // 2
    torch.testing.assert_close(out[:, :, middle, middle], torch.full((400, 3), 0.5))
    # A pixel a quarter of the width from the centre reads a column scale * cos(angle) / 4 away:
    # at most 1.2 / 4 and at least 0.8 cos(15 degrees) / 4.
    moved = out[:, 1, middle, middle + size // 4] - 0.5
    quarter = (size // 4) / (size - 1)
    assert 0.8 * 0.9659 * quarter - 1e-4 <= moved.min() < 0.85 * quarter
    assert 1.15 * quarter < moved.max() <= 1.2 * quarter + 1e-4


def test_relight_changes_contrast_about_the_mean_and_brightness() -> None:
    pixels = torch.full((500, 3, 2, 2), 0.5)
    pixels[:, :, 0] += 0.05
    pixels[:, :, 1] -= 0.05
    out = relight(pixels, _generator(), strength=1.0)
    contrast = (out[:, 0, 0, 0] - out[:, 0, 1, 0]) / 0.1
    brightness = out.mean(dim=(1, 2, 3)) - 0.5
    assert 0.5 - 1e-4 <= contrast.min() < 0.55
    assert 1.45 < contrast.max() <= 1.5 + 1e-4
    assert -0.2 - 1e-4 <= brightness.min() < -0.18
    assert 0.18 < brightness.max() <= 0.2 + 1e-4
