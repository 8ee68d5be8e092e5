"""Quantities of an image: values by hand, and what damages do to them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from oodguard.models.qualities import (
    PIXEL_QUALITIES,
    SIZE_QUALITIES,
    image_qualities,
    measure,
    qualities,
    size_qualities,
)

GREY = np.full((4, 6, 3), 51, np.uint8)


def of(image: NDArray[np.uint8]) -> dict[str, float]:
    return dict(zip(PIXEL_QUALITIES, qualities(image[None])[0].tolist(), strict=True))


def test_qualities_of_constant_image() -> None:
    """The floors of the ratios: .1 / .2 and .5 / 1."""
    expected = {"brightness": 51, "contrast": 0, "sharpness": 0.5, "noise": 0.5, "blank": 1}
    assert of(GREY) == pytest.approx(expected, abs=1e-4)


def test_qualities_of_one_image_are_numbers_of_python() -> None:
    """The reasons of a verdict contain them, and orjson refuses those of NumPy."""
    assert [type(value) for value in image_qualities(GREY)] == [float] * len(PIXEL_QUALITIES)


def test_qualities_of_linear_slope() -> None:
    """Steps of 20 in a row: d1 = 20, d2 = 40 in rows, 0 in columns, and no mixed difference."""
    slope = np.repeat(np.arange(0, 120, 20, dtype=np.uint8)[None, :, None], 4, axis=0)
    found = of(np.repeat(slope, 3, axis=2))
    assert found["brightness"] == pytest.approx(50)
    assert found["contrast"] == pytest.approx((700 * 5 / 12) ** 0.5 * 2, rel=1e-4)
    assert found["sharpness"] == pytest.approx((400 + 0.1) / (1600 + 0.2), rel=1e-4)
    assert found["noise"] == pytest.approx(0.5 / 21, rel=1e-3)
    assert found["blank"] == 1  # every column is constant


def test_qualities_luma_weighs_channels() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 1] = 100
    assert of(image)["brightness"] == pytest.approx(58.7, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (7, 1, 3), (2, 2, 3)])
@pytest.mark.parametrize("level", [0, 255])
def test_qualities_of_smallest_images_are_finite(shape: tuple[int, int, int], level: int) -> None:
    found = of(np.full(shape, level, np.uint8))
    assert np.isfinite(list(found.values())).all()
    assert found["brightness"] == pytest.approx(level, rel=1e-6)
    assert found["blank"] == 1


def test_qualities_respond_to_damages() -> None:
    wave = 127 + 60 * np.sin(np.arange(32) / 5)
    image = np.stack(
        [wave + 0 * wave[:, None], wave[:, None] + 0 * wave, wave + wave[:, None] - 99], axis=2
    )
    image = image.astype(np.uint8)
    noisy = np.clip(image + np.random.default_rng(0).normal(0, 30, image.shape), 0, 255).astype(
        np.uint8
    )
    blurred = np.asarray(Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(2)))
    half = noisy.copy()
    half[16:] = 0
    assert of(noisy)["noise"] > of(image)["noise"]
    assert of(blurred)["sharpness"] < of(noisy)["sharpness"] / 2
    assert of(noisy)["blank"] == 0
    assert of(half)["blank"] == 0.5


def test_qualities_of_large_image_are_those_of_every_second_pixel() -> None:
    large = np.random.default_rng(0).integers(0, 256, (600, 20, 3), np.uint8)
    assert of(large) == of(np.ascontiguousarray(large[::2, ::2]))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (16, 16), (31, 5), (90, 92)])
def test_qualities_of_one_image_are_those_in_a_batch(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (6, *shape, 3), np.uint8)
    images[1] = 77
    images[2, shape[0] // 2 :] = 0
    images[3:5] //= 16
    one_by_one = np.concatenate([qualities(image[None]) for image in images])
    assert one_by_one.dtype == np.float32
    assert qualities(images) == pytest.approx(one_by_one, rel=1e-5, abs=1e-5)


def test_qualities_of_no_image() -> None:
    for side in (8, 200):
        assert qualities(np.empty((0, side, side, 3), np.uint8)).shape == (0, 5)


def test_size_qualities() -> None:
    assert size_qualities(400, 100) == (4, 200)


def test_measure_returns_a_column_of_each_quantity() -> None:
    images = np.stack([GREY, GREY + 1])
    columns = measure(images, [(2, 1), (8, 8)])
    assert list(columns) == [*PIXEL_QUALITIES, *SIZE_QUALITIES]
    assert all(column.dtype == np.float32 and len(column) == 2 for column in columns.values())
    assert columns["brightness"] == pytest.approx([51, 52])
    assert columns["aspect"].tolist() == [2, 1]
    assert list(measure(images)) == list(PIXEL_QUALITIES)
