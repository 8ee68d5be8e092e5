"""One hostile request: what is sent, and which answers are right."""

from collections.abc import Iterable
from dataclasses import dataclass

OK = "ok"
PLAIN_400 = "plain-400"
"""The HTTP parser's own answer to bytes that are no HTTP; they never reach the service."""
SILENCE = "silence"
"""No answer: the request never became whole, and one of the two hung up."""

Step = bytes | float


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What a client does on one connection.

    Attributes:
        name: Unique in the corpus, `family/what`.
        steps: Bytes that are sent; a number is a pause in seconds.
        accepted: Names of the outcomes that are right; see `tests.abuse.judging`.
        hangs_up: The client ends its side after the last step, as what it sent is never whole.
        method: Of the request; an answer to HEAD has no body.
    """

    name: str
    steps: tuple[Step, ...]
    accepted: frozenset[str]
    hangs_up: bool = False
    method: str = "POST"

    @property
    def sent(self) -> bytes:
        """All bytes in one."""
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
    """Write a request whose connection closes after the answer.

    Args:
        body: Sent as it is.
        content_type: Left out where None.
        headers: Further ones, sent as they are.
        method: Sent as it is.
        target: Sent as it is.
        length: Content-Length, whatever the body is; its true length by default.
        version: Sent as it is.
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
    """A request that is sent in one go."""
    return Case(name=name, steps=(sent,), accepted=accepted)


def accept(*outcomes: str) -> frozenset[str]:
    """Name the outcomes that are right."""
    return frozenset(outcomes)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


DECODED = accept(OK, "undecodable-image", "unsupported-image", "image-too-large")
"""What may be said of bytes that are sent as an image: judged, or refused by what they are."""
