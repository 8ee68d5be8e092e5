import torch

from oodguard.training.data.augment import distort, relight, warp


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_at_no_strength_nothing_changes() -> None:
    pixels = torch.rand(8, 3, 9, 12, generator=_generator())
    torch.testing.assert_close(distort(pixels, _generator(), strength=0.0), pixels)


def test_half_of_the_images_are_distorted_each_in_its_own_way() -> None:
    pixel = torch.rand(1, 3, 16, 16, generator=_generator()).expand(200, 3, 16, 16)
    out = distort(pixel, _generator(), strength=1.0)
    assert out.shape == pixel.shape
    assert 0 <= out.min() <= out.max() <= 1
    changed = (out != pixel).any(dim=(1, 2, 3))
    assert 70 < changed.sum() < 130
    assert len({tuple(image.flatten().tolist()) for image in out[changed]}) == changed.sum()


def test_a_warp_keeps_the_centre_in_its_place_and_moves_a_corner_by_what_is_allowed() -> None:
    # The row and column of every pixel as its value: what is read is where it was read from.
    size = 33
    line = torch.linspace(0, 1, size)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    places = torch.stack([rows, columns, rows])[None].expand(400, 3, size, size)
    out = warp(places, _generator(), strength=1.0)
    middle = size // 2
    torch.testing.assert_close(out[:, :, middle, middle], torch.full((400, 3), 0.5))
    # Half way to the right edge, one quarter of the width from the centre: the column read is
    # scale * cos(turn) / 4 away, at most 1.2 / 4 and at least 0.8 cos(15 degrees) / 4.
    moved = out[:, 1, middle, middle + size // 4] - 0.5
    quarter = (size // 4) / (size - 1)
    assert 0.8 * 0.9659 * quarter - 1e-4 <= moved.min() < 0.85 * quarter
    assert 1.15 * quarter < moved.max() <= 1.2 * quarter + 1e-4


def test_light_changes_contrast_about_the_mean_and_then_brightness() -> None:
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
