"""The plain-PNG decoder returns the same image as Pillow's reader, or leaves the file to it."""

import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from oodguard.models.errors import ImageError
from oodguard.service.images.decode import decode_plain_png
from oodguard.service.images.header import read_header
from tests.service.pictures import encode, noisy, plain, png, png_chunk

SAMPLES = {mode: encode(noisy((9, 7)).convert(mode)) for mode in ("L", "RGB", "RGBA")}


def by_pillow(data: bytes) -> Image.Image:
    with PngImageFile(BytesIO(data)) as image:
        image.load()
        return image.copy()


def small_png(*idat: bytes, depth: int = 8, interlace: int = 0) -> bytes:
    """Return a PNG of 2 x 1 RGB pixels with these chunks of pixels."""
    chunks = [png_chunk(b"IDAT", data) for data in idat]
    return png(*chunks, header=(2, 1, depth, 2, 0, 0, interlace))


def with_text() -> bytes:
    text = PngInfo()
    text.add_text("a", "b")
    return encode(plain(), pnginfo=text)


PIXELS = zlib.compress(b"\x00" + bytes(range(6)))


@pytest.mark.parametrize("mode", sorted(SAMPLES))
def test_plain_png_equals_the_image_that_pillow_reads(mode: str) -> None:
    image = decode_plain_png(SAMPLES[mode], read_header(SAMPLES[mode]))
    assert image is not None
    assert (image.mode, image) == (mode, by_pillow(SAMPLES[mode]))


def test_plain_png_has_the_pixels_of_the_file() -> None:
    data = small_png(PIXELS)
    image = decode_plain_png(data, read_header(data))
    assert image is not None
    assert image.tobytes() == bytes(range(6))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encode(plain(), "JPEG"), id="JPEG"),
        pytest.param(encode(plain().convert("P")), id="palette"),
        pytest.param(encode(plain().convert("LA")), id="grey with alpha"),
        pytest.param(encode(plain().convert("1")), id="1 bit"),
        pytest.param(encode(Image.new("I;16", (3, 3))), id="16 bits"),
        pytest.param(small_png(zlib.compress(bytes(13)), depth=16), id="16 bits a channel"),
        pytest.param(encode(plain(), transparency=(255, 0, 0)), id="transparent colour"),
        pytest.param(with_text(), id="text"),
        pytest.param(encode(noisy((200, 200))), id="over 64 kB"),
        pytest.param(small_png(PIXELS[:5], PIXELS[5:]), id="two chunks of pixels"),
        pytest.param(small_png(zlib.compress(bytes(72)), interlace=1), id="interlaced"),
        pytest.param(small_png(PIXELS) + b"more", id="data after the end"),
        pytest.param(small_png(PIXELS)[:-1], id="truncated"),
        pytest.param(small_png(PIXELS[:-8]), id="too few pixels"),
    ],
)
def test_plain_png_leaves_other_files_to_pillow(data: bytes) -> None:
    assert decode_plain_png(data, read_header(data)) is None


@given(
    mode=st.sampled_from(sorted(SAMPLES)),
    position=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_plain_png_leaves_damaged_files_to_pillow_or_equals_it(
    mode: str, position: float, value: int
) -> None:
    damaged = bytearray(SAMPLES[mode])
    damaged[int(position * len(damaged))] = value
    data = bytes(damaged)
    try:
        header = read_header(data)
    except ImageError:
        return
    image = decode_plain_png(data, header)
    assert image is None or image == by_pillow(data)
