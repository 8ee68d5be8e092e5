"""JSON with base64 of encoded images."""

import binascii

import orjson

from models.errors import UndecodableImage
from service.errors import ImageRefused, MalformedBody, TooManyImages, WrongFields
from service.payloads.types import Body, Encoded, Limits, Payload

WANTED = 'send {"images": ["<base64>", ...]}'
# Parsed, these take some 10 MB. A body of 16 MiB could hold eight million, and take half a gigabyte
# and a second in which no other thread runs.
MOST_VALUES = 2**17


def read_json(body: Body, limits: Limits) -> Payload:
    """Read `{"images": [...]}`.

    Raises:
        MalformedBody: Not JSON.
        WrongFields: Another shape of JSON, or one of far more values than images are taken.
        TooManyImages: More than the limit.
        ImageRefused: A string that is not base64.
    """
    _check_values(body.data, MOST_VALUES + limits.max_images)
    try:
        value = orjson.loads(body.data)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise WrongFields(f"a JSON {type(value).__name__} came; {WANTED}")
    if set(value) != {"images"}:
        fields = ", ".join(sorted(value))[:128] or "none"
        raise WrongFields(f"the fields {fields} came; {WANTED}")
    images = value["images"]
    if not isinstance(images, list) or not images:
        raise WrongFields(f"'images' is not a list of at least one string; {WANTED}")
    if len(images) > limits.max_images:
        raise TooManyImages(
            f"{len(images)} images came; send at most {limits.max_images} a request"
        )
    return [_base64(image, index) for index, image in enumerate(images)]


def _check_values(data: bytes, most: int) -> None:
    """Bound what parsing allocates: every value but the first stands behind one of three marks.

    None of them is in the alphabet of base64, so a body of images has one for each image.
    """
    if len(data) <= most:
        return
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > most:
        raise WrongFields(f"a JSON of {values} values came; at most {most} are read; {WANTED}")


def _base64(text: object, index: int) -> Encoded:
    if not isinstance(text, str):
        raise WrongFields(
            f"image {index} is a JSON {type(text).__name__}; a base64 string is wanted"
        )
    try:
        return Encoded(data=binascii.a2b_base64(text, strict_mode=True) if text else b"")
    except ValueError as error:
        cause = UndecodableImage(
            f"not base64 ({error}); the standard alphabet with padding and without line breaks "
            "is wanted"
        )
        raise ImageRefused(cause, index=index, name=None) from error
