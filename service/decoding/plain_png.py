"""The PNG that nearly every small one is, handed to Pillow's decoder without Pillow's reader.

The reader looks for all that a PNG may hold, chunk by chunk, and takes twice as long for a small
picture as decoding it does. A file of a header, one chunk of pixels and an end holds nothing else.
"""

import struct
import zlib
from collections.abc import Mapping

from PIL import Image
from PIL.ImageFile import MAXBLOCK

from service.decoding.image_headers import PNG_SIGNATURE

# Signature; IHDR with its size and type, width, height, bit depth, colour type, compression,
# filter, interlace and checksum; size and type of the next chunk: ISO/IEC 15948, 11.2.2.
HEAD = struct.Struct(">8sI4sIIBBBBBII4s")
CHECKED = slice(12, 29)
# The checksum of the pixels' chunk, which Pillow does not look at, and the whole last chunk.
TAIL_BYTES = 16
END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
MODES: Mapping[int, str] = {0: "L", 2: "RGB", 6: "RGBA"}
"""Pillow's modes of eight bits a channel, by colour type."""


def open_plain(data: bytes) -> Image.Image | None:
    """Decode a plain PNG of eight bits a channel, at most 64 kB of them, not interlaced.

    Args:
        data: The file; its size in pixels must have been checked.

    Returns:
        The very image that Pillow would open; none: this is another kind of file, or a broken one,
        and Pillow is to say of it what there is to say.
    """
    if not HEAD.size + TAIL_BYTES < len(data) <= MAXBLOCK or not data.endswith(END):
        return None
    signature, size, kind, *header, checksum, pixel_bytes, pixels = HEAD.unpack_from(data)
    width, height, depth, colour, *methods = header
    if (signature, size, kind, pixels) != (PNG_SIGNATURE, 13, b"IHDR", b"IDAT"):
        return None
    end = HEAD.size + pixel_bytes
    if end + TAIL_BYTES != len(data) or checksum != zlib.crc32(data[CHECKED]):
        return None
    if depth != 8 or colour not in MODES or any(methods):
        return None
    mode = MODES[colour]
    try:
        return Image.frombytes(mode, (width, height), data[HEAD.size : end], "zip", mode, 0)
    except (OSError, ValueError):
        return None
