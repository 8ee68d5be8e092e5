"""Images that claim, or really have, far more pixels than bytes."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.abuse.bodies import JSON, MULTIPART, RAW, json_images, multipart, png
from tests.abuse.case import DECODED, Case, accept, once, request
from tests.service.pictures import (
    claiming_jpeg,
    claiming_png,
    claiming_webp,
    encode,
    plain,
    png_chunk,
)

HUGE = accept("image-too-large")
# Within the limit, so that the image is decoded.
SIDE = 1400
BASELINE_OF_THREE = bytes.fromhex("03 01 11 00 02 11 01 03 11 01")


def cases(_rng: np.random.Generator) -> Iterator[Case]:
    yield from _claims()
    yield from _odd_claims()
    yield from _frames()
    yield from _real_bombs()
    for shape in ["1,7072,7071,3", "256,999999999,999999999,3", "1,999999999,1,3"]:
        sent = request(bytes(192), RAW, [("X-Shape", shape)])
        yield once(f"raw pixels that claim {shape}", sent, HUGE)


def _claims() -> Iterator[Case]:
    for width, height in [(20_000, 20_000), (7_072, 7_071), (65_535, 65_535), (1_000, 60_000)]:
        size = f"{width} x {height}"
        png_sent = request(claiming_png(width, height), "image/png")
        yield once(f"png that claims {size}", png_sent, HUGE)
        jpeg_sent = request(claiming_jpeg(width, height), "image/jpeg")
        yield once(f"jpeg that claims {size}", jpeg_sent, HUGE)
    for width, height in [(16_383, 16_383), (7_072, 7_071), (2**24, 2**24), (2**24, 3)]:
        sent = request(claiming_webp(width, height), "image/webp")
        yield once(f"webp whose canvas is {width} x {height}", sent, HUGE)


def _odd_claims() -> Iterator[Case]:
    top = 2**32 - 1
    for width, height in [(top // 2, top // 2), (top, top), (top, 1), (1, 65_536), (49_000_000, 1)]:
        sent = request(claiming_png(width, height), "image/png")
        yield once(f"png that claims {width} x {height}", sent, HUGE)
    for width, height in [(0, 0), (0, top), (1, 0)]:
        sent = request(claiming_png(width, height), "image/png")
        yield once(f"png that claims {width} x {height}", sent, accept("undecodable-image"))
    for width, height in [(1, 0), (0, 1), (65_535, 1), (1, 65_535)]:
        sent = request(claiming_jpeg(width, height), "image/jpeg")
        yield once(f"jpeg that claims {width} x {height}", sent, DECODED)
    for width, height in [(2**24, 1), (1, 2**24), (9, 9), (1, 1)]:
        sent = request(claiming_webp(width, height), "image/webp")
        yield once(f"webp whose canvas is {width} x {height}", sent, DECODED)


def _frames() -> Iterator[Case]:
    small = encode(plain(), "JPEG")
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 60_000, 60_000) + BASELINE_OF_THREE
    for what, position, accepted in [
        ("before the true one", 2, HUGE),
        ("behind the true one", small.index(b"\xff\xda"), DECODED),
        ("at the end", len(small), DECODED),
    ]:
        data = small[:position] + frame + small[position:]
        yield once(f"jpeg with a huge frame {what}", request(data, "image/jpeg"), accepted)


def _real_bombs() -> Iterator[Case]:
    size = (SIDE, SIDE)
    for name, mime, data in [
        ("1-bit png", "image/png", encode(Image.new("1", size))),
        ("grey png", "image/png", encode(Image.new("L", size))),
        ("transparent png", "image/png", encode(Image.new("RGBA", size))),
        ("16-bit png", "image/png", encode(Image.new("I;16", size))),
        ("cmyk jpeg", "image/jpeg", encode(Image.new("CMYK", size), "JPEG")),
        ("progressive jpeg", "image/jpeg", encode(plain(size=size), "JPEG", progressive=True)),
        ("lossless webp", "image/webp", encode(plain(size=size), "WEBP", lossless=True)),
        ("jpeg strip of 1 x 65000", "image/jpeg", encode(plain(size=(1, 65_000)), "JPEG")),
        ("png strip of 1 x 65535", "image/png", encode(plain(size=(1, 65_535)))),
        ("png that inflates to 64 MiB for 64 pixels", "image/png", _overfull_png()),
    ]:
        yield once(f"{name}, alone", request(data, mime), DECODED)
        four = request(multipart(data, data, data, data), MULTIPART)
        yield once(f"{name}, four as files", four, DECODED)
        yield once(f"{name}, in JSON", request(json_images(data), JSON), DECODED)


def _overfull_png() -> bytes:
    packed = zlib.compressobj(9)
    data = b"".join(packed.compress(bytes(2**20)) for _ in range(64)) + packed.flush()
    return png(png_chunk(b"IDAT", data))
