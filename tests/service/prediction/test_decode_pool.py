"""The decode pool: small images in the event loop, turns of large ones, early rejections."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from PIL.PngImagePlugin import PngInfo

from oodguard.models.manifest import InputSpec
from oodguard.service.images import decode_steps
from oodguard.service.images.decode import decode_image
from oodguard.service.images.header import EncodedImage
from oodguard.service.inference.queue import Pixels
from oodguard.service.prediction.decode_pool import decodes_inline
from oodguard.service.prediction.fair_threads import FairThreads
from tests.service.checks import post, predictions, problem
from tests.service.conftest import Gate, MakeClient
from tests.service.pictures import claiming_jpeg, claiming_png, claiming_webp, encode, plain

# Above one megapixel.
SIDE = 1200


def images(*data: bytes) -> list[EncodedImage]:
    return [EncodedImage(data=each) for each in data]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_small_images_have_at_most_128_by_128_pixels_together(kind: str) -> None:
    icon = encode(plain(size=(128, 64)), kind)
    assert decodes_inline(images(icon))
    assert decodes_inline(images(icon, icon))
    assert not decodes_inline(images(icon, icon, icon))


@pytest.mark.parametrize(
    "data", [claiming_png(5000, 5000), claiming_jpeg(5000, 5000), claiming_webp(5000, 5000)]
)
def test_small_file_that_claims_a_large_image_is_not_small(data: bytes) -> None:
    assert not decodes_inline(images(data))


def test_image_with_a_compressed_text_chunk_is_not_small() -> None:
    info = PngInfo()
    info.add_text("comment", "a" * 100_000, zip=True)
    bomb = encode(plain(), "PNG", pnginfo=info)
    assert len(bomb) < 1000
    assert not decodes_inline(images(bomb))


def test_invalid_image_is_small() -> None:
    assert decodes_inline(images(b"no image"))
    assert decodes_inline(images(encode(plain()), b"no image"))


def test_large_image_next_to_an_invalid_image_is_not_small() -> None:
    large = claiming_png(5000, 5000)
    assert not decodes_inline(images(large, b"no image"))
    assert not decodes_inline(images(b"no image", large))


def test_raw_pixels_of_another_size_are_not_small() -> None:
    assert not decodes_inline(np.zeros((1, 4, 4, 3), np.uint8))


class HeldDecoder:
    """Holds the decoding of large images, and records their names, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Semaphore(0)
        self.submitted = threading.Semaphore(0)
        self.opened = threading.Event()
        self.names: list[str | None] = []
        self._decode = decode_image
        monkeypatch.setattr(decode_steps, "decode_image", self.decode)
        plain_submit = FairThreads.submit

        def submit(
            threads: FairThreads, client: str, function: Callable[[], object], memory: int = 0
        ) -> "Future[object]":
            future = plain_submit(threads, client, function, memory)
            if memory:
                self.submitted.release()
            return future

        monkeypatch.setattr(FairThreads, "submit", submit)

    def decode(self, image: EncodedImage, spec: InputSpec, *, max_pixels: int) -> Pixels:
        if image.header.width >= SIDE:
            self.names.append(image.name)
            self.entered.release()
            assert self.opened.wait(20)
        return self._decode(image, spec, max_pixels=max_pixels)


def test_small_image_is_answered_while_large_images_are_decoded(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldDecoder(monkeypatch)
    client = make_client(decode_threads=2)
    with ThreadPoolExecutor(3) as pool:
        large = [pool.submit(post, client, encode(plain(size=(SIDE, SIDE)))) for _ in range(3)]
        for _ in range(2):  # each of the threads for large images
            assert held.entered.acquire(timeout=20)
        # Too large for the event loop.
        predictions(post(client, encode(plain(size=(500, 500)))))
        assert not any(each.done() for each in large)
        held.opened.set()
        for each in large:
            predictions(each.result())


def test_large_image_waits_for_one_image_of_another_request_and_not_for_all(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldDecoder(monkeypatch)
    client = make_client(decode_threads=1)
    picture = encode(plain(size=(SIDE, SIDE)))
    files = [("files", (str(index), picture)) for index in range(3)]
    with ThreadPoolExecutor(2) as pool:
        three = pool.submit(client.post, "/predict", files=files)
        assert held.submitted.acquire(timeout=20)
        assert held.entered.acquire(timeout=20)
        one = pool.submit(post, client, picture)
        assert held.submitted.acquire(timeout=20)
        held.opened.set()
        assert [each.label for each in predictions(three.result())] == ["red"] * 3
        predictions(one.result())
    assert held.names == ["0", None, "1", "2"]


def test_body_is_rejected_before_it_is_parsed_if_it_has_too_many_images(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    client = make_client(max_images=2, max_pending_images=2)
    # More than 16 kB of bytes that are not parsed.
    files = [("files", bytes(10_000))] * 2
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client, encode(plain()))
        assert gate.entered.wait(20)
        problem(client.post("/predict", files=files), 429, "overloaded")
        gate.opened.set()
        predictions(first.result())
    problem(client.post("/predict", files=files), 400, "undecodable-image")
