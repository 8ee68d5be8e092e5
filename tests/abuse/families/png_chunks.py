"""PNG files whose chunks inflate, are numerous, have false lengths or are missing."""

import struct
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from tests.abuse.bodies import BLACK, png
from tests.abuse.case import DECODED, Case, posts
from tests.service.pictures import png_chunk

EMPTY = ["iCCP", "iTXt", "gAMA", "pHYs", "cHRM", "sRGB", "tRNS", "acTL", "fcTL"]
PIXELS = zlib.compress(bytes(8 * (1 + 8 * 3)))


def cases(rng: np.random.Generator) -> Iterator[Case]:
    damaged = {**_bombs(), **_many(), **_false_lengths(), **_streams(rng)}
    return posts({**damaged, **_headers(), **_animations()}, "image/png", DECODED)


def _bombs() -> Mapping[str, bytes]:
    packed = zlib.compressobj(9)
    bomb = b"".join(packed.compress(bytes(2**20)) for _ in range(64)) + packed.flush()
    itxt = b"k\0\1\0en\0k\0"
    return {
        "zTXt of 64 MiB": png(png_chunk(b"zTXt", b"k\0\0" + bomb), BLACK),
        "100 zTXt of 64 MiB": png(png_chunk(b"zTXt", b"k\0\0" + bomb) * 100, BLACK),
        "iTXt of 64 MiB": png(png_chunk(b"iTXt", itxt + bomb), BLACK),
        "iCCP of 64 MiB": png(png_chunk(b"iCCP", b"k\0\0" + bomb), BLACK),
        "zTXt of 64 MiB behind the pixels": png(BLACK, png_chunk(b"zTXt", b"k\0\0" + bomb)),
        "eXIf of 4 MiB": png(png_chunk(b"eXIf", b"MM\0*" + bytes(2**22)), BLACK),
        "tEXt of 8 MiB": png(png_chunk(b"tEXt", b"k\0" + b"a" * 2**23), BLACK),
    }


def _many() -> Mapping[str, bytes]:
    return {
        "50000 tEXt": png(png_chunk(b"tEXt", b"k\0v") * 50_000, BLACK),
        "50000 unknown chunks": png(png_chunk(b"juNk", b"") * 50_000, BLACK),
        "a million unknown chunks": png(png_chunk(b"juNk", b"") * 10**6, BLACK),
        "20000 empty IDAT": png(png_chunk(b"IDAT", b"") * 20_000, BLACK),
        "IDAT byte by byte": png(
            *(png_chunk(b"IDAT", PIXELS[i : i + 1]) for i in range(len(PIXELS)))
        ),
        "1000 iCCP": png(png_chunk(b"iCCP", b"k\0\0" + zlib.compress(b"no profile")) * 1000, BLACK),
        "1000 IHDR": png(png_chunk(b"IHDR", bytes(13)) * 1000, BLACK),
    }


def _false_lengths() -> Mapping[str, bytes]:
    def with_length(kind: bytes, length: int) -> bytes:
        return png(struct.pack(">I", length) + kind + bytes(16), BLACK)

    return {
        "a chunk of 2 GiB": with_length(b"tEXt", 2**31 - 1),
        "a chunk of 4 GiB": with_length(b"tEXt", 2**32 - 1),
        "an IDAT of 2 GiB": with_length(b"IDAT", 2**31 - 1),
        "a chunk whose name is no letters": png(png_chunk(b"\0\1\2\3", b"x"), BLACK),
        "a wrong checksum of the pixels": png(BLACK[:-1] + b"\0"),
        "a wrong checksum of the text": png(png_chunk(b"tEXt", b"k\0v")[:-1] + b"\0", BLACK),
        "text without a separator": png(png_chunk(b"tEXt", b"k" * 100), BLACK),
        "zTXt that is no zlib": png(png_chunk(b"zTXt", b"k\0\0" + b"\xff" * 50), BLACK),
        "zTXt of an unknown method": png(png_chunk(b"zTXt", b"k\0\7" + b"\xff" * 50), BLACK),
        "iCCP that is no zlib": png(png_chunk(b"iCCP", b"k\0\0" + b"\xff" * 50), BLACK),
        "iCCP of an unknown method": png(png_chunk(b"iCCP", b"k\0\7x"), BLACK),
        **{f"an empty {kind}": png(png_chunk(kind.encode(), b""), BLACK) for kind in EMPTY},
    }


def _streams(rng: np.random.Generator) -> Mapping[str, bytes]:
    def pixels(data: bytes) -> bytes:
        return png(png_chunk(b"IDAT", data))

    filters = b"".join(bytes([9]) + bytes(24) for _ in range(8))
    return {
        "no pixels": png(),
        "pixels that are no zlib": pixels(rng.bytes(100)),
        "pixels with a wrong Adler sum": pixels(PIXELS[:-1] + b"\0"),
        "pixels with junk behind them": pixels(PIXELS + rng.bytes(1000)),
        "pixels that end early": pixels(zlib.compress(bytes(20))),
        "pixels that need a dictionary": pixels(b"\x78\xbb\0\0\0\1" + PIXELS[2:]),
        "rows of an unknown filter": pixels(zlib.compress(filters)),
        "rows of random filters": pixels(zlib.compress(rng.bytes(200))),
    }


def _headers() -> Mapping[str, bytes]:
    odd = {
        f"depth {depth} of colour type {colour}": png(BLACK, depth=depth, colour=colour)
        for depth, colour in [(3, 2), (0, 2), (16, 2), (1, 2), (8, 7), (8, 3), (16, 3), (255, 255)]
    }
    valid = png(BLACK)
    for name, position, value in [("compression", 26, 1), ("filter", 27, 1), ("interlace", 28, 2)]:
        odd[f"an unknown {name}"] = valid[:position] + bytes([value]) + valid[position + 1 :]
    colours = png_chunk(b"PLTE", bytes(3 * 257))
    odd["a palette of 257 colours"] = png(colours, BLACK, colour=3)
    odd["a palette of 1 byte"] = png(png_chunk(b"PLTE", b"a"), BLACK, colour=3)
    odd["a palette behind the pixels"] = png(BLACK, png_chunk(b"PLTE", bytes(6)), colour=3)
    return odd


def _animations() -> Mapping[str, bytes]:
    def frame(number: int, width: int, height: int, x: int = 0) -> bytes:
        return png_chunk(
            b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, x, 0, 1, 1, 0, 0)
        )

    return {
        "an animation of 4 billion frames": png(png_chunk(b"acTL", b"\xff" * 8), BLACK),
        "an animation of no frames": png(png_chunk(b"acTL", bytes(8)), BLACK),
        "an animation of one frame": png(
            png_chunk(b"acTL", b"\0\0\0\1" + bytes(4)), frame(0, 8, 8), BLACK
        ),
        "a frame beyond the canvas": png(
            png_chunk(b"acTL", b"\0\0\0\2" + bytes(4)), frame(0, 8, 8), BLACK, frame(1, 2**31, 9, 7)
        ),
        "frames in the wrong order": png(
            frame(7, 8, 8), png_chunk(b"acTL", b"\0\0\0\2" + bytes(4)), BLACK
        ),
        "an fdAT without a number": png(BLACK, png_chunk(b"fdAT", b"")),
    }
