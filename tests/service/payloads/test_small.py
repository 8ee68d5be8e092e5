"""What is decoded in the event loop is small, whatever it says of itself."""

import numpy as np
import pytest
from PIL.PngImagePlugin import PngInfo

from oodguard.service.images.header import is_small
from oodguard.service.images.types import Encoded
from tests.service.pictures import claiming_jpeg, claiming_png, claiming_webp, encode, plain


def images(*data: bytes) -> list[Encoded]:
    return [Encoded(data=each) for each in data]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_small_is_up_to_128_by_128_pixels_over_all_images(kind: str) -> None:
    icon = encode(plain(size=(128, 64)), kind)
    assert is_small(images(icon))
    assert is_small(images(icon, icon))
    assert not is_small(images(icon, icon, icon))


@pytest.mark.parametrize("claiming", [claiming_png, claiming_jpeg, claiming_webp])
def test_a_few_bytes_that_claim_a_large_picture_are_not_small(claiming: object) -> None:
    assert not is_small(images(claiming(5000, 5000)))  # type: ignore[operator]


def test_a_text_that_may_unpack_to_megabytes_is_not_small() -> None:
    info = PngInfo()
    info.add_text("comment", "a" * 100_000, zip=True)
    bomb = encode(plain(), "PNG", pnginfo=info)
    assert len(bomb) < 1000
    assert not is_small(images(bomb))


def test_what_is_no_image_is_refused_at_once() -> None:
    assert is_small(images(b"no image"))


def test_raw_pixels_of_another_size_are_left_to_the_threads() -> None:
    assert not is_small(np.zeros((1, 4, 4, 3), np.uint8))
