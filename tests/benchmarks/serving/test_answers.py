"""An answer is whole when its body is, however it comes in."""

import pytest

from benchmarks.serving.load.answers import Head, whole

ANSWER = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\nRetry-After: 1\r\n\r\nlater"


def test_an_answer_is_whole_with_its_last_byte() -> None:
    assert [whole(ANSWER[:end]) for end in range(len(ANSWER))] == [None] * len(ANSWER)
    assert whole(ANSWER) == Head(429, closes=False)


def test_an_answer_says_that_it_is_the_last_of_its_connection() -> None:
    last = ANSWER.replace(b"Retry-After: 1", b"Connection: Close")
    assert whole(last) == Head(429, closes=True)


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_what_is_not_understood_is_no_answer(data: bytes) -> None:
    with pytest.raises(ValueError, match="is wanted"):
        whole(data)
