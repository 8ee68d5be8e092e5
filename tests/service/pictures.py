"""Images of one colour in every encoding, and invalid files, made with Pillow."""

import io
import struct
import zlib

from PIL import Image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def plain(colour: tuple[int, int, int] = RED, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, colour)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    image = plain(left, (16, 8))
    image.paste(right, (8, 0, 16, 8))
    return image


def noisy(size: tuple[int, int] = (64, 64)) -> Image.Image:
    """Return an image that does not compress, so that a truncated file lacks pixels."""
    return Image.effect_noise(size, 100).convert("RGB")


def animated(kind: str) -> bytes:
    frames = [plain(RED), plain(GREEN), plain(BLUE)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, header: tuple[int, ...]) -> bytes:
    """Return a PNG of the header's width, height, depth, colour type and three further fields."""
    whole = [png_chunk(b"IHDR", struct.pack(">IIBBBBB", *header)), *chunks, png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def claiming_png(width: int, height: int) -> bytes:
    """Return a PNG with a valid header of any size and almost no pixels."""
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(64)))
    return png(pixels, header=(width, height, 8, 2, 0, 0, 0))


def claiming_webp(width: int, height: int) -> bytes:
    """Return a WebP with an extended header of any size around an image of 8 x 8."""
    inner = encode(plain(), "WEBP", lossless=True)[12:]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size
    body = b"WEBP" + extended + inner
    return b"RIFF" + struct.pack("<I", len(body)) + body


def claiming_jpeg(width: int, height: int) -> bytes:
    """Return a JPEG whose frame header was overwritten with another size."""
    data = bytearray(encode(plain(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)
