import numpy as np
import torch

from oodguard.training.evaluation.attack_runner import whole_pixels


def _one(clean: int, attacked_255: float, epsilon_255: float) -> int:
    image = torch.full((1, 1, 1, 3), clean, dtype=torch.uint8)
    attacked = torch.full((1, 3, 1, 1), attacked_255 / 255)
    found = whole_pixels(attacked, image, epsilon_255)
    assert found.dtype == np.uint8
    assert found.shape == (1, 1, 1, 3)
    return int(found[0, 0, 0, 0])


def test_a_value_goes_to_the_nearest_255th() -> None:
    assert _one(100, 101.4, 2) == 101
    assert _one(100, 98.4, 2) == 98


def test_rounding_never_leaves_the_budget() -> None:
    # 1.5 away is allowed by a budget of 1.5, but 2 is not.
    assert _one(100, 101.5, 1.5) == 101
    assert _one(100, 98.5, 1.5) == 99
    assert _one(100, 100.9, 0.9) == 100


def test_rounding_never_leaves_the_pixel_range() -> None:
    assert _one(254, 256, 4) == 255
    assert _one(1, -1, 4) == 0


def test_rows_columns_and_channels_stay_where_they_are() -> None:
    image = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).reshape(2, 4, 5, 3)
    attacked = image.permute(0, 3, 1, 2).float() / 255
    assert (whole_pixels(attacked, image, 3) == image.numpy()).all()
