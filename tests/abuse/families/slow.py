"""Clients that send slowly, or never finish."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.case import OK, SILENCE, Case, accept, request
from tests.service.pictures import encode, plain

PAUSE_S = 0.5
INFER = "/v2/models/tiny/infer"


def cases(_rng: np.random.Generator) -> Iterator[Case]:
    picture = encode(plain())
    whole = request(picture, "image/png")
    body = whole.index(picture)
    in_time = accept(OK)
    yield _slow("a body in two halves", [whole[:-20], PAUSE_S, whole[-20:]], in_time)
    yield _slow("headers in two halves", [whole[:30], PAUSE_S, whole[30:]], in_time)
    drops = [step for i in range(8) for step in (whole[i : i + 1], PAUSE_S / 8)]
    yield _slow("a request line drop by drop", [*drops, whole[8:]], in_time)
    drops = [step for i in range(body, body + 8) for step in (whole[i : i + 1], PAUSE_S / 8)]
    yield _slow("a body drop by drop", [whole[:body], *drops, whole[body + 8 :]], in_time)
    late = accept("request-timeout")
    for name, sent in [
        ("a body that is never sent", whole[:body]),
        ("a body without its last byte", whole[:-1]),
        ("a body of 8 MiB without its last byte", request(bytes(2**23), "image/png")[:-1]),
        ("a chunk that is never sent", _chunked(b"ff\r\nabc")),
        ("a head and one byte, and 16 MiB declared", request(b"x", "image/png", length=2**24)),
        ("a request of the Open Inference Protocol", request(b"{", None, target=INFER, length=9)),
    ]:
        yield _slow(name, [sent], late if INFER.encode() not in sent else accept("v2-408"))
    drops = [step for _ in range(60) for step in (b"x", PAUSE_S)]
    large = request(bytes(2**20), "image/png", length=2**24)
    yield _slow("a byte every half second", [whole[:body], *drops], late)
    yield _slow("1 MiB and then a byte every half second", [large, *drops], late)
    closed = accept(SILENCE)
    yield _slow("headers that never end, without a disconnect", [whole[: body - 4]], closed)
    yield _slow("a connection and nothing more", [PAUSE_S], closed)
    for name, sent in [
        ("headers that never end", whole[: body - 2]),
        ("a request line that never ends", whole[:10]),
        ("half a body, then a disconnect", whole[:-30]),
    ]:
        yield _slow(name, [sent, PAUSE_S], closed, disconnects=True)


def _slow(
    name: str, steps: list[bytes | float], accepted: frozenset[str], *, disconnects: bool = False
) -> Case:
    return Case(name=name, steps=tuple(steps), accepted=accepted, disconnects=disconnects)


def _chunked(body: bytes) -> bytes:
    head = b"POST /predict HTTP/1.1\r\nHost: guard\r\nContent-Type: image/png\r\n"
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + body
