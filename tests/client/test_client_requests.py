from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from oodguard.client.errors import UnreadableImageError
from oodguard.client.images import ImageSource
from oodguard.client.requests import ImageBatch, Packer, Target, single, together
from oodguard.service.images.body import content_type, parse
from oodguard.service.images.types import Body, Payload, RequestLimits
from tests.service.pictures import BLUE, RED, encode, plain

LIMITS = RequestLimits(max_body_bytes=10**6, max_images=100, max_pixels=10**6)
FRAME = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


def parsed(batch: ImageBatch) -> Payload:
    """Parse a request as the service does."""
    headers, body = batch.encode()
    kind, options = content_type(headers["Content-Type"])
    shape = headers.get("X-Shape")
    return parse(Body(data=body, content_type=kind, options=options, shape=shape), LIMITS)


def indices(packer: Packer, images: list[ImageSource]) -> list[list[int]]:
    packed = [*packer.add(images), *packer.rest()]
    return [
        [item.index for item in each.items] if isinstance(each, ImageBatch) else [-each.index]
        for each in packed
    ]


@pytest.mark.parametrize("files", [[encode(plain(RED))], [b"one", b"\r\n--two", b""]])
def test_client_request_of_files_is_parsed_by_the_service(files: list[bytes]) -> None:
    payload = parsed(together(files, Target(), None))
    assert not isinstance(payload, np.ndarray)
    assert [each.data for each in payload] == files
    assert {each.name for each in payload} == {None}


def test_client_request_of_arrays_is_parsed_by_the_service() -> None:
    payload = parsed(together([FRAME, FRAME[::-1]], Target(), None))
    assert isinstance(payload, np.ndarray)
    assert (payload == np.stack([FRAME, FRAME[::-1]])).all()


def test_client_request_of_mixed_images_encodes_arrays_without_loss() -> None:
    batch = together([FRAME, encode(plain(BLUE)), FRAME[:4]], Target(), None)
    payload = parsed(batch)
    assert not isinstance(payload, np.ndarray)
    assert [(each.header.width, each.header.height) for each in payload] == [(8, 8), (8, 8), (8, 4)]
    with pytest.raises(ValueError, match="images is empty"):
        together([], Target(), None)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encode(plain()), "image/png"),
        (encode(plain(), "JPEG"), "image/jpeg"),
        (encode(plain(), "WEBP"), "image/webp"),
        (b"no image", "image/jpeg"),
    ],
)
def test_client_request_of_one_file_is_the_file(data: bytes, kind: str) -> None:
    headers, body = single(data, Target(), "id").encode()
    assert headers == {"Content-Type": kind, "X-Request-Id": "id"}
    assert body == data


def test_client_packs_images_up_to_both_limits_in_their_order() -> None:
    small, large = bytes(10), bytes(900)
    packer = Packer(target=Target(), max_images=3, max_bytes=1100)
    assert indices(packer, [*[small] * 4, large, small, small, large]) == [
        [0, 1, 2],
        [3],
        [4],
        [5, 6],
        [7],
    ]
    assert indices(Packer(target=Target()), [bytes(9 * 2**20), small]) == [[0], [1]]
    assert indices(Packer(target=Target()), [small] * 130) == [
        [*range(64)],
        [*range(64, 128)],
        [128, 129],
    ]


def test_client_packs_each_form_and_shape_into_its_own_request() -> None:
    images: list[ImageSource] = [FRAME, FRAME, FRAME[:4], b"a", b"b", FRAME]
    assert indices(Packer(target=Target()), images) == [[0, 1], [2], [3, 4], [5]]


def test_client_packs_around_an_image_that_cannot_be_read() -> None:
    packer = Packer(target=Target())
    packed = [*packer.add([b"a", Path("missing"), b"b"]), *packer.rest()]
    assert len(packed) == 3
    first, error, rest = packed
    assert isinstance(first, ImageBatch)
    assert isinstance(error, UnreadableImageError)
    assert isinstance(rest, ImageBatch)
    assert (first.items[0].index, error.index, rest.items[0].index) == (0, 1, 2)


def test_client_reads_images_lazily() -> None:
    drawn: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            drawn.append(1)
            yield b"image"

    next(Packer(target=Target()).add(endless()))
    assert len(drawn) == 64


def test_client_request_ids_are_numbered_or_random() -> None:
    packer = Packer(target=Target(), request_id="job", max_images=1)
    batches = [each for each in packer.add([b"a", b"b"]) if isinstance(each, ImageBatch)]
    assert [each.request_id for each in batches] == ["job-1", "job-2"]
    assert single(b"a", Target(), None).request_id != single(b"a", Target(), None).request_id


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (Target(), "/predict"),
        (Target(model="a b/c"), "/models/a%20b%2Fc/predict"),
        (Target(model="a", version="1.post1"), "/models/a/versions/1.post1/predict"),
    ],
)
def test_client_request_names_the_model_in_its_path(target: Target, path: str) -> None:
    assert target.path == path
    with pytest.raises(ValueError, match="version is '1' and model is None"):
        Target(version="1")


@pytest.mark.parametrize(("rate", "text"), [(0.1, "0.1"), (1e-4, "0.0001"), (0.00001, "0.00001")])
def test_client_request_states_the_rate_without_an_exponent(rate: float, text: str) -> None:
    headers, _ = together([b"a"], Target(fdr=rate), None).encode()
    assert headers["X-FDR"] == text
