"""The decode pool: only small images are decoded in the event loop."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from PIL.PngImagePlugin import PngInfo

from oodguard.models.manifest import InputSpec
from oodguard.service.images.header import EncodedImage
from oodguard.service.prediction.decode_pool import is_large, is_small
from oodguard.service.prediction.memory_reservation import MemoryReservation
from tests.service.checks import post, predictions
from tests.service.conftest import MakeClient
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


def test_image_is_large_if_decoding_it_takes_more_than_16_mib() -> None:
    # 8 bytes a pixel, and 6 MiB for the conversion of a band.
    spec = InputSpec(height=32, width=32)
    assert not is_large(images(claiming_png(1000, 1000)), spec)
    assert is_large(images(claiming_png(1000, 1000), claiming_png(1200, 1200)), spec)
    assert not is_large(images(b"no image"), spec)
    assert is_large(np.zeros((1, 1300, 1300, 3), np.uint8), spec)


def test_small_image_is_answered_while_large_images_wait_for_memory(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, free = threading.Semaphore(0), threading.Event()

    @contextmanager
    def reserve(_memory: MemoryReservation, size: int) -> Iterator[None]:
        assert size > 16 * 2**20
        waiting.release()
        assert free.wait(20)
        yield

    monkeypatch.setattr(MemoryReservation, "reserve", reserve)
    client = make_client(decode_threads=2)
    with ThreadPoolExecutor(3) as pool:
        large = [pool.submit(post, client, encode(plain(size=(1500, 1500)))) for _ in range(3)]
        for _ in range(2):  # each of the threads for large images
            assert waiting.acquire(timeout=20)
        # Too large for the event loop.
        predictions(post(client, encode(plain(size=(500, 500)))))
        assert not any(each.done() for each in large)
        free.set()
        for each in large:
            predictions(each.result())
