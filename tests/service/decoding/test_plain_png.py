"""A plain PNG gives the very image that Pillow's reader gives, or is left to it."""

import struct
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from oodguard.service.images.decode import open_plain
from tests.service.pictures import encode, noisy, plain, png_chunk

SAMPLES = {mode: encode(noisy((9, 7)).convert(mode)) for mode in ("L", "RGB", "RGBA")}
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def theirs(data: bytes) -> Image.Image:
    with PngImageFile(BytesIO(data)) as image:
        image.load()
        return image.copy()


def assembled(*, chunks: tuple[bytes, ...], depth: int = 8, interlace: int = 0) -> bytes:
    """A picture of 2 x 1 whose header promises what it holds, whatever that is."""
    header = struct.pack(">IIBBBBB", 2, 1, depth, 2, 0, 0, interlace)
    return SIGNATURE + png_chunk(b"IHDR", header) + b"".join(chunks) + png_chunk(b"IEND", b"")


PIXELS = zlib.compress(b"\x00" + bytes(range(6)))
WHOLE = png_chunk(b"IDAT", PIXELS)


@pytest.mark.parametrize("mode", sorted(SAMPLES))
def test_eight_bits_a_channel_are_read_as_pillow_reads_them(mode: str) -> None:
    image = open_plain(SAMPLES[mode])
    assert image is not None
    assert (image.mode, image) == (mode, theirs(SAMPLES[mode]))


def test_the_pixels_are_those_in_the_file() -> None:
    image = open_plain(assembled(chunks=(WHOLE,)))
    assert image is not None
    assert image.tobytes() == bytes(range(6))


def with_text() -> bytes:
    text = PngInfo()
    text.add_text("a", "b")
    return encode(plain(), pnginfo=text)


OTHERS = {
    "nothing": b"",
    "a JPEG": encode(plain(), "JPEG"),
    "a palette": encode(plain().convert("P")),
    "grey with alpha": encode(plain().convert("LA")),
    "one bit": encode(plain().convert("1")),
    "sixteen bits": encode(Image.new("I;16", (3, 3))),
    "sixteen bits a channel": assembled(
        chunks=(png_chunk(b"IDAT", zlib.compress(bytes(13))),), depth=16
    ),
    "a transparent colour": encode(plain(), transparency=(255, 0, 0)),
    "text": with_text(),
    "more than one piece": encode(noisy((200, 200))),
    "two chunks of pixels": assembled(
        chunks=(png_chunk(b"IDAT", PIXELS[:5]), png_chunk(b"IDAT", PIXELS[5:]))
    ),
    "interlaced": assembled(chunks=(png_chunk(b"IDAT", zlib.compress(bytes(72))),), interlace=1),
    "something behind the end": assembled(chunks=(WHOLE,)) + b"more",
    "no end": assembled(chunks=(WHOLE,))[:-1],
    "too few pixels": assembled(chunks=(png_chunk(b"IDAT", PIXELS[:-8]),)),
}


@pytest.mark.parametrize("kind", sorted(OTHERS))
def test_everything_else_is_left_to_pillow(kind: str) -> None:
    assert open_plain(OTHERS[kind]) is None


@given(
    mode=st.sampled_from(sorted(SAMPLES)),
    position=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_a_damaged_file_is_left_to_pillow_or_read_as_by_pillow(
    mode: str, position: float, value: int
) -> None:
    data = bytearray(SAMPLES[mode])
    data[int(position * len(data))] = value
    image = open_plain(bytes(data))
    assert image is None or image == theirs(bytes(data))
