"""Where an HTTP answer ends, and what its head says."""

from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Head:
    """What a client needs to know of a whole answer."""

    status: int
    closes: bool


def whole(data: bytes) -> Head | None:
    """Read the head of an answer; None until all of the answer has come.

    Raises:
        ValueError: Not HTTP/1.1, or an answer that does not say its length.
    """
    end = data.find(HEAD_END)
    if end < 0:
        return None
    head = data[:end].lower()
    if not head.startswith(b"http/1.1 "):
        raise ValueError(f"{data[:32]!r} came; an answer of HTTP/1.1 is wanted")
    start = head.find(LENGTH)
    if start < 0:
        raise ValueError(f"{data[:end]!r} came; an answer with its Content-Length is wanted")
    length = int(head[start + len(LENGTH) :].split(b"\r\n", 1)[0])
    if len(data) < end + len(HEAD_END) + length:
        return None
    return Head(int(head[9:12]), b"connection: close" in head)
