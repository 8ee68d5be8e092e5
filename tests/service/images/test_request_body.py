"""Reading a body: in chunks of any size, and never more bytes than the limit."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from oodguard.service.errors import BodyTooLarge, UnsupportedContent
from oodguard.service.images.body import (
    BLOCK_BYTES,
    MAX_CONTENT_TYPE_CHARACTERS,
    content_type,
    count_images,
    parse,
    read_bytes,
)
from oodguard.service.images.types import Body, RequestLimits
from tests.service.checks import post, predictions, problem, still_serves
from tests.service.conftest import MakeClient
from tests.service.pictures import encode, plain

LIMIT = 20_000
FILE = b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nxyz\r\n'


@dataclass
class Observed:
    """An observer of a body that records its calls."""

    counts: list[int] = field(default_factory=list)
    completed: bool = False

    def received(self, count: int) -> None:
        assert not self.completed
        self.counts.append(count)

    def complete(self) -> None:
        self.completed = True


def read(chunks: Sequence[bytes], max_bytes: int) -> tuple[bytes, list[int]]:
    """Read a body in these chunks; return it, and the numbers of bytes that were observed."""
    messages = iter(chunks)
    observed = Observed()

    async def receive() -> Message:
        chunk = next(messages, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    request = Request({"type": "http", "headers": []}, receive)
    body = asyncio.run(read_bytes(request, max_bytes, observed))
    assert observed.completed
    return body, observed.counts


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [5],
        [1, 2, 3],
        [BLOCK_BYTES],
        [BLOCK_BYTES - 1, 1, 1],
        [BLOCK_BYTES // 3] * 10,
        [3 * BLOCK_BYTES, 7],
    ],
)
def test_body_joins_chunks_in_order(sizes: list[int]) -> None:
    chunks = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    body, claimed = read(chunks, max_bytes=sum(sizes) + 1)
    assert body == b"".join(chunks)
    assert sum(claimed) == sum(sizes)


def test_body_limit_is_exact_without_content_length() -> None:
    body, claimed = read([b"abc", b"de"], max_bytes=5)
    assert (body, sum(claimed)) == (b"abcde", 5)
    with pytest.raises(BodyTooLarge, match="more than 4 bytes, expected at most 4"):
        read([b"abc", b"de"], max_bytes=4)


def test_body_of_exactly_the_limit_is_accepted(make_client: MakeClient) -> None:
    image = encode(plain())
    predictions(post(make_client(max_body_bytes=len(image)), image))


def test_body_over_the_limit_is_rejected(make_client: MakeClient) -> None:
    client = make_client(max_body_bytes=LIMIT)
    answer = problem(post(client, bytes(LIMIT + 1)), 413, "body-too-large")
    assert f"Content-Length is {LIMIT + 1} bytes, expected at most {LIMIT}" in answer.detail
    response = post(client, iter([bytes(LIMIT // 4)] * 5))
    assert "content-length" not in response.request.headers
    assert f"at most {LIMIT}" in problem(response, 413, "body-too-large").detail
    still_serves(client)


@pytest.mark.parametrize("length", ["9" * 17, "9" * 5000])
def test_body_with_an_absurd_content_length_is_rejected(client: TestClient, length: str) -> None:
    response = post(client, encode(plain()), **{"content-length": length})
    problem(response, 413, "body-too-large")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "image/gif", "application/x-www-form-urlencoded", "nonsense", "", None],
)
def test_unsupported_content_type_is_rejected(client: TestClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = client.post("/predict", content=encode(plain()), headers=headers)
    answer = problem(response, 415, "unsupported-content")
    received = f'"{content_type}"' if content_type else "missing"
    assert answer.detail == (
        f"Content-Type is {received}, expected one of: multipart/form-data, application/json,"
        " image/jpeg, image/png, image/webp, application/octet-stream"
    )


def test_body_with_a_content_encoding_is_rejected(client: TestClient) -> None:
    response = post(client, encode(plain()), **{"content-encoding": "gzip"})
    detail = problem(response, 415, "unsupported-content").detail
    assert 'Content-Encoding is "gzip", expected "identity"' in detail


def test_content_type_that_is_too_long_is_rejected() -> None:
    start = "multipart/form-data; boundary="
    longest = start + "x" * (MAX_CONTENT_TYPE_CHARACTERS - len(start))
    assert content_type(longest)[0] == "multipart/form-data"
    with pytest.raises(UnsupportedContent, match="has 1025 characters, expected at most 1024"):
        content_type(longest + "x")


@pytest.mark.parametrize(
    ("kind", "options", "data"),
    [
        ("image/png", {}, b'"' * 99),
        ("application/json", {}, b'{"images": ["aaaa"]}'),
        ("application/json", {}, b'{\n "images" : [ "aaaa", "bbbb",\n"" ] }'),
        ("multipart/form-data", {b"boundary": b"b"}, FILE + b"--b--"),
        ("multipart/form-data", {b"boundary": b"b"}, FILE * 3 + b"--b--\r\n"),
    ],
)
def test_images_of_a_valid_body_are_counted_without_parsing_it(
    kind: str, options: dict[bytes, bytes], data: bytes
) -> None:
    limits = RequestLimits(max_body_bytes=999, max_images=9, max_pixels=9)
    body = Body(data=data, content_type=kind, options=options, shape=None)
    assert count_images(body) == len(parse(body, limits))


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data"])
def test_invalid_body_counts_as_an_image(kind: str) -> None:
    assert count_images(Body(data=b"", content_type=kind, options={}, shape=None)) == 1
