"""One hostile request, and the outcomes that are correct for it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

OK = "ok"
PLAIN_400 = "plain-400"
"""The HTTP parser's response to bytes that are not HTTP; they never reach the service."""
SILENCE = "silence"
"""No response: the request was never complete, and one side closed the connection."""

Step = bytes | float


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """The actions of a client on one connection.

    Attributes:
        name: Unique in the corpus, `family/name`.
        steps: Bytes to send; a number is a pause in seconds.
        accepted: The correct outcomes; see `tests.abuse.outcomes`.
        disconnects: Whether the client closes its side after the last step, because its request is
            never complete.
        method: The request's method; a response to HEAD has no body.
    """

    name: str
    steps: tuple[Step, ...]
    accepted: frozenset[str]
    disconnects: bool = False
    method: str = "POST"

    @property
    def sent(self) -> bytes:
        """All bytes, joined."""
        return b"".join(step for step in self.steps if isinstance(step, bytes))


def request(  # noqa: PLR0913 - an HTTP request has that many parts
    body: bytes = b"",
    content_type: str | None = None,
    headers: Iterable[tuple[str | bytes, str | bytes]] = (),
    *,
    method: str = "POST",
    target: str | bytes = "/predict",
    length: str | int | None = None,
    version: str = "HTTP/1.1",
) -> bytes:
    """Return the bytes of a request that closes its connection; every part is sent unchanged.

    Without `content_type` the header is omitted; without `length` Content-Length is that of the
    body.
    """
    start = b" ".join(_bytes(part) for part in (method, target, version))
    lines: list[tuple[str | bytes, str | bytes]] = [("Host", "guard"), ("Connection", "close")]
    if content_type is not None:
        lines.append(("Content-Type", content_type))
    lines.append(("Content-Length", str(len(body) if length is None else length)))
    lines += headers
    head = [start, *(_bytes(name) + b": " + _bytes(value) for name, value in lines)]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def once(name: str, sent: bytes, accepted: frozenset[str]) -> Case:
    """Return a case that sends all of its bytes at once."""
    return Case(name=name, steps=(sent,), accepted=accepted)


def posts(
    bodies: Mapping[str, bytes],
    content_type: str,
    accepted: frozenset[str],
    *,
    target: str = "/predict",
) -> Iterator[Case]:
    """Yield a case for each body, by name, with this content type."""
    for name, body in bodies.items():
        yield once(name, request(body, content_type, target=target), accepted)


def accept(*outcomes: str) -> frozenset[str]:
    """Return a set of correct outcomes."""
    return frozenset(outcomes)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


DECODED = accept(OK, "undecodable-image", "unsupported-image", "image-too-large")
"""The correct outcomes for bytes that are sent as an image: predicted, or rejected as an image."""
