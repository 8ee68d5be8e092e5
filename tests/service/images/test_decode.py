"""Decoding: exact pixels where nothing is resized, an image error for invalid files."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oodguard.models.errors import ImageError, ImageTooLarge, UndecodableImage
from oodguard.models.manifest import InputSpec
from oodguard.service.images.decode import decode_image
from oodguard.service.images.header import EncodedImage
from tests.service.pictures import claiming_webp, encode, noisy, plain, png, png_chunk

SPEC = InputSpec(height=64, width=64)
SAMPLES = {
    "PNG": encode(noisy(), "PNG"),
    "JPEG": encode(noisy(), "JPEG"),
    "WEBP": encode(noisy(), "WEBP"),
    "lossless WEBP": encode(noisy(), "WEBP", lossless=True),
}


def decode(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    return decode_image(EncodedImage(data=data), SPEC, max_pixels=max_pixels)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_decode_keeps_the_pixels_of_the_input_size(kind: str, options: dict[str, bool]) -> None:
    picture = noisy()
    pixels = decode(encode(picture, kind, **options), max_pixels=2 * 64 * 64)
    np.testing.assert_array_equal(pixels, np.asarray(picture))


@given(
    kind=st.sampled_from(sorted(SAMPLES)),
    position=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    length=st.floats(0, 1),
)
def test_decode_of_a_damaged_file_returns_pixels_or_raises_an_image_error(
    kind: str, position: float, value: int, length: float
) -> None:
    data = bytearray(SAMPLES[kind])
    data[int(position * len(data))] = value
    damaged = bytes(data[: max(40, int(length * len(data)))])
    try:
        pixels = decode(damaged, max_pixels=10_000)
    except ImageError:
        return
    assert pixels.shape == (64, 64, 3)


def test_decode_rejects_a_canvas_over_the_pixel_limit_around_a_small_image() -> None:
    with pytest.raises(ImageTooLarge, match="1000 x 1000 = 1000000 pixels, expected at most 99999"):
        decode(claiming_webp(1000, 1000), max_pixels=999_999)


def test_decode_rejects_sides_over_65535_pixels() -> None:
    assert decode(encode(plain(size=(1, 65_535))), max_pixels=10**6).shape == (64, 64, 3)
    with pytest.raises(ImageTooLarge, match="65536 x 1 pixels, expected sides of at most 65535"):
        decode(encode(plain(size=(65_536, 1))), max_pixels=10**6)


@pytest.mark.parametrize("order", [b"IDAT", b"IDAT PLTE"])
def test_decode_rejects_a_png_of_palette_indices_without_a_palette(order: bytes) -> None:
    chunks = {b"IDAT": zlib.compress(bytes(8 * 9)), b"PLTE": bytes(6)}
    parts = [png_chunk(kind, chunks[kind]) for kind in order.split()]
    data = png(*parts, header=(8, 8, 8, 3, 0, 0, 0))
    with pytest.raises(UndecodableImage, match="the PNG has no palette for its pixels"):
        decode(data, max_pixels=64)
