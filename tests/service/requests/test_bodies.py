"""A body is read as it came, in whatever pieces, and never more of it than the limit."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.requests import Request
from starlette.types import Message

from oodguard.service.errors import BodyTooLarge
from oodguard.service.images.body import BLOCK_BYTES, read_bytes


def read(pieces: Sequence[bytes], max_bytes: int) -> tuple[bytes, list[int]]:
    """Read a body that comes in these pieces; what was read, and what was claimed for it."""
    messages = iter(pieces)
    claimed: list[int] = []

    async def receive() -> Message:
        piece = next(messages, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    request = Request({"type": "http", "headers": []}, receive)
    return asyncio.run(read_bytes(request, max_bytes, claimed.append)), claimed


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
def test_pieces_are_joined_in_their_order(sizes: list[int]) -> None:
    pieces = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    body, claimed = read(pieces, max_bytes=sum(sizes) + 1)
    assert body == b"".join(pieces)
    assert sum(claimed) == sum(sizes)


def test_the_limit_is_exact_where_no_length_was_announced() -> None:
    body, claimed = read([b"abc", b"de"], max_bytes=5)
    assert (body, sum(claimed)) == (b"abcde", 5)
    with pytest.raises(BodyTooLarge, match="more than 4 bytes came; at most 4 are taken"):
        read([b"abc", b"de"], max_bytes=4)
