"""Every kind of pixel becomes the colour that it stands for."""

import struct

import numpy as np
import pytest
from PIL import Image

from oodguard.models.errors import UnsupportedImage
from oodguard.models.preprocessing import prepare
from tests.models.prepared import BLACK, BLUE, GREEN, RED, WHITE, as_it_is, sized, through


@pytest.mark.parametrize(
    ("inks", "colour"),
    [
        ((0, 0, 0, 0), WHITE),
        ((255, 0, 0, 0), [0, 255, 255]),
        ((0, 255, 255, 0), RED),
        ((0, 0, 0, 255), BLACK),
        ((0, 255, 0, 51), [204, 0, 204]),
    ],
)
def test_prepare_converts_cmyk_to_rgb(inks: tuple[int, int, int, int], colour: list[int]) -> None:
    assert as_it_is(Image.new("CMYK", (1, 1), inks)).tolist() == [[colour]]


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_prepare_scales_16_bit_grey(mode: str) -> None:
    # 257 sixteen-bit steps are one eight-bit step; 128 is nearer to 0, 129 to 1.
    values, greys = [0, 128, 129, 257, 32896, 65535], [0, 0, 1, 1, 128, 255]
    order = ">" if mode == "I;16B" else "<"
    image = Image.frombytes(mode, (6, 1), struct.pack(f"{order}6H", *values))
    assert as_it_is(image).tolist() == [[[grey] * 3 for grey in greys]]


def test_prepare_scales_16_bit_grey_from_a_png() -> None:
    image = Image.fromarray(np.array([[0, 25700, 65535]], dtype=np.uint16))
    assert as_it_is(through(image, "PNG"))[0, :, 0].tolist() == [0, 100, 255]


def test_prepare_composes_16_bit_grey_with_a_transparent_value_over_white() -> None:
    image = Image.fromarray(np.array([[0, 257, 514]], dtype=np.uint16))
    opened = through(image, "PNG", transparency=257)
    assert as_it_is(opened)[0, :, 0].tolist() == [0, 255, 2]


@pytest.mark.parametrize("value", [-1, 65536])
def test_prepare_rejects_integer_pixels_beyond_16_bits(value: int) -> None:
    with pytest.raises(UnsupportedImage, match=f"are {value} to {value}, expected 0 to 65535"):
        as_it_is(Image.new("I", (1, 1), value))


def test_prepare_rejects_floating_point_pixels() -> None:
    with pytest.raises(UnsupportedImage, match="pixel mode is F"):
        as_it_is(Image.new("F", (1, 1), 0.5))


def test_prepare_converts_1_bit_and_grey_to_equal_channels() -> None:
    assert as_it_is(Image.new("1", (1, 1), 1)).tolist() == [[WHITE]]
    assert as_it_is(Image.new("L", (1, 1), 99)).tolist() == [[[99, 99, 99]]]


def test_prepare_applies_the_palette() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    assert as_it_is(image).tolist() == [[RED, BLUE]]


def test_prepare_composes_a_transparent_palette_over_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *BLUE, *BLACK])
    for x in range(3):
        image.putpixel((x, 0), x)
    # Red is opaque, blue gone, and black covers a fifth: 255 x 4/5.
    opened = through(image, "PNG", transparency=bytes([255, 0, 51]))
    assert opened.mode == "P"
    assert as_it_is(opened).tolist() == [[RED, WHITE, [204, 204, 204]]]


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("LA", (0, 255), BLACK),
        ("LA", (0, 0), WHITE),
        ("LA", (0, 51), [204, 204, 204]),
        ("RGBA", (100, 0, 255, 51), [224, 204, 255]),  # colour / 5 + 255 x 4/5
    ],
)
def test_prepare_composes_alpha_over_white(
    mode: str, pixel: tuple[int, ...], expected: list[int]
) -> None:
    assert as_it_is(Image.new(mode, (1, 1), pixel)).tolist() == [[expected]]


def test_prepare_composes_a_transparent_colour_over_white() -> None:
    image = Image.fromarray(np.array([[RED, GREEN]], dtype=np.uint8))
    assert as_it_is(through(image, "PNG", transparency=(255, 0, 0))).tolist() == [[WHITE, GREEN]]


def test_prepare_does_not_mix_transparent_pixels_into_a_resized_image() -> None:
    image = Image.fromarray(np.array([[[0, 0, 0, 0]] * 4] * 4, dtype=np.uint8), "RGBA")
    assert prepare(image, sized(2, 2, "stretch")).tolist() == [[WHITE] * 2] * 2
