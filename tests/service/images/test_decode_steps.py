"""Decoding in steps: several small images or one large image at a time."""

import numpy as np
import pytest

from oodguard.models.manifest import InputSpec
from oodguard.service.errors import DeadlineExceeded, InvalidImage
from oodguard.service.images.decode_memory import decode_bytes
from oodguard.service.images.decode_steps import STEP_BYTES, DecodeSteps
from oodguard.service.images.header import EncodedImage
from oodguard.service.images.types import Payload, RequestLimits
from tests.service.pictures import claiming_png, encode, plain

SPEC = InputSpec(height=8, width=8)
LIMITS = RequestLimits(max_body_bytes=1, max_images=2, max_pixels=10**7)

SMALL = EncodedImage(data=encode(plain()))
# 8 bytes a pixel, and 6 MiB for the conversion of a band.
MEDIUM = EncodedImage(data=encode(plain(size=(900, 600))))
LARGE = EncodedImage(data=encode(plain(size=(1200, 1200))))


def steps(payload: Payload) -> DecodeSteps:
    return DecodeSteps(payload, SPEC, LIMITS, lambda: None)


def test_decode_steps_have_16_mib_of_small_images_or_one_large_image() -> None:
    decoding = steps([SMALL, SMALL, LARGE, MEDIUM, *[SMALL] * 200, MEDIUM, MEDIUM])
    assert decoding.is_large
    memory = []
    while not decoding.finished:
        memory.append(decoding.memory)
        decoding.step()
    medium, large = (decode_bytes(image, SPEC) for image in (MEDIUM, LARGE))
    small = decode_bytes(SMALL, SPEC)
    assert memory == [2 * small, large, medium + 200 * small, medium, medium]
    assert all(each <= STEP_BYTES for each in memory if each != large)
    assert decoding.pixels.shape == (206, 8, 8, 3)
    assert (decoding.pixels == (255, 0, 0)).all()


def test_decode_steps_of_raw_pixels_resize_them() -> None:
    decoding = steps(np.full((2, 1300, 1300, 3), 7, np.uint8))
    assert decoding.is_large
    decoding.step()
    assert not decoding.finished
    decoding.step()
    assert decoding.finished
    assert decoding.pixels.shape == (2, 8, 8, 3)
    assert (decoding.pixels == 7).all()


def test_decode_steps_of_pixels_of_the_right_size_are_finished() -> None:
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    decoding = steps(pixels)
    assert decoding.finished
    assert decoding.pixels is pixels


@pytest.mark.parametrize(
    "invalid", [b"no image", claiming_png(5000, 5000), claiming_png(9, 9)], ids=len
)
def test_decode_steps_name_the_first_invalid_image_and_count_no_memory_for_it(
    invalid: bytes,
) -> None:
    decoding = steps([SMALL, EncodedImage(data=invalid, name="b"), EncodedImage(data=b"")])
    assert not decoding.is_large
    with pytest.raises(InvalidImage) as caught:
        decoding.step()
    assert (caught.value.index, caught.value.name) == (1, "b")


def test_decode_steps_stop_after_the_deadline() -> None:
    decoding = DecodeSteps([SMALL] * 2, SPEC, LIMITS, lambda: "late")
    with pytest.raises(DeadlineExceeded, match="after 0 of 2 images"):
        decoding.step()
