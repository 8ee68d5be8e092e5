"""Which payloads are decoded sooner than another thread would take notice of them."""

from models.errors import ImageError
from service.decoding.image_headers import read_header
from service.payloads.types import Payload

SMALL_BODY_BYTES = 16 * 1024
SMALL_PIXELS = 128 * 128

# Chunks of a PNG that may hold far more than their size says.
COMPRESSED_EXTRAS = (b"zTXt", b"iTXt", b"iCCP")


def is_small(payload: Payload) -> bool:
    """Whether all images of a small body together are no larger than one icon.

    To decode that takes a fraction of a millisecond. A header that cannot be read is small too:
    what is wrong with it will be said at once.
    """
    if not isinstance(payload, list):
        return False
    pixels = 0
    for image in payload:
        if any(extra in image.data for extra in COMPRESSED_EXTRAS):
            return False
        try:
            pixels += read_header(bytes(image.data)).pixels
        except ImageError:
            return True
    return pixels <= SMALL_PIXELS
