"""The decode pool: only small images are decoded in the event loop."""

import numpy as np
import pytest
from PIL.PngImagePlugin import PngInfo

from oodguard.service.images.header import EncodedImage
from oodguard.service.prediction.decode_pool import is_small
from tests.service.pictures import claiming_jpeg, claiming_png, claiming_webp, encode, plain


def images(*data: bytes) -> list[EncodedImage]:
    return [EncodedImage(data=each) for each in data]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_small_images_have_at_most_128_by_128_pixels_together(kind: str) -> None:
    icon = encode(plain(size=(128, 64)), kind)
    assert is_small(images(icon))
    assert is_small(images(icon, icon))
    assert not is_small(images(icon, icon, icon))


@pytest.mark.parametrize(
    "data", [claiming_png(5000, 5000), claiming_jpeg(5000, 5000), claiming_webp(5000, 5000)]
)
def test_small_file_that_claims_a_large_image_is_not_small(data: bytes) -> None:
    assert not is_small(images(data))


def test_image_with_a_compressed_text_chunk_is_not_small() -> None:
    info = PngInfo()
    info.add_text("comment", "a" * 100_000, zip=True)
    bomb = encode(plain(), "PNG", pnginfo=info)
    assert len(bomb) < 1000
    assert not is_small(images(bomb))


def test_invalid_image_is_small() -> None:
    assert is_small(images(b"no image"))


def test_raw_pixels_of_another_size_are_not_small() -> None:
    assert not is_small(np.zeros((1, 4, 4, 3), np.uint8))
