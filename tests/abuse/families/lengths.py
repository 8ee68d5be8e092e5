"""Content-Length values that differ from the length of the body."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.case import DECODED, OK, PLAIN_400, SILENCE, Case, accept, once, request
from tests.service.pictures import encode, plain

PNG = "image/png"
LIMIT = 16 * 2**20
# A rejection before the body was read closes the connection while the client sends.
TOO_LARGE = accept("body-too-large", SILENCE)


def cases(_rng: np.random.Generator) -> Iterator[Case]:
    picture = encode(plain())
    for length in [
        "-1",
        "+5",
        "0x10",
        "1e3",
        "5, 5",
        "five",
        "",
        "٣".encode().decode("latin-1"),
        "9" * 30,
        "1 2",
        "1\t",
        "0" * 3000 + "1",
        "18446744073709551616",
    ]:
        sent = request(picture, PNG, length=length)
        accepted = accept(PLAIN_400, *DECODED, *TOO_LARGE)
        yield once(f"a length of {length[:24]!r}", sent, accepted)
    for announced in [LIMIT + 1, 10**12, 2**63 - 1]:
        yield once(
            f"{announced} announced bytes that are not sent",
            request(picture, PNG, length=announced),
            TOO_LARGE,
        )
    yield once("one byte more than the limit", request(bytes(LIMIT + 1), PNG), TOO_LARGE)
    full = request(bytes(LIMIT), PNG)
    yield once("zeros of exactly the limit", full, accept("undecodable-image"))
    yield once(
        "no bytes of a picture", request(picture, PNG, length=0), accept("undecodable-image")
    )
    yield once("half a picture", request(picture, PNG, length=len(picture) // 2), DECODED)
    other = [("Content-Length", str(len(picture) - 4))]
    yield once("two lengths", request(picture, PNG, other), accept(PLAIN_400))
    same = [("Content-Length", str(len(picture)))]
    yield once("the same length twice", request(picture, PNG, same), accept(OK, PLAIN_400))
    for more in [1, 100, 10_000]:
        sent = request(picture, PNG, length=len(picture) + more)
        yield Case(
            name=f"{more} bytes fewer than announced, then a disconnect",
            steps=(sent,),
            accepted=accept(SILENCE),
            disconnects=True,
        )
    without = request(picture, PNG).replace(b"Content-Length", b"X-Length")
    yield once("no length at all", without, accept("undecodable-image"))
