"""Content-Length and X-Shape values that are invalid or do not match the body."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.bodies import RAW
from tests.abuse.case import DECODED, OK, PLAIN_400, SILENCE, Case, accept, once, request
from tests.service.pictures import encode, plain

PNG = "image/png"
LIMIT = 16 * 2**20
# A rejection before the body was read closes the connection while the client sends.
TOO_LARGE = accept("body-too-large", SILENCE)
NOT_LENGTHS = [
    "-1", "+5", "0x10", "1e3", "5, 5", "five", "", "٣".encode().decode("latin-1"), "9" * 30, "1 2",
    "1\t", "0" * 3000 + "1", "18446744073709551616",
]  # fmt: skip

WRONG = accept("wrong-fields")
REJECTED = accept("wrong-fields", "image-too-large", "too-many-images")
BODY = bytes(192)

NOT_SHAPES = [
    "", " ", ",", ",,,", "1", "1,8", "1,8,8", "8,8,3", "1,8,8,3,", ",1,8,8,3", "1,8,8,3,1",
    "1;8;8;3", "1x8x8x3", "(1,8,8,3)", "[1,8,8,3]", "-1,8,8,3", "1,-8,-8,3", "+1,8,8,3",
    "1.0,8,8,3", "1e0,8,8,3", "0x1,8,8,3", "1_0,8,8,3", "nan,8,8,3", "inf,8,8,3",
    "Infinity,8,8,3", "None,8,8,3", "true,8,8,3", "0,8,8,3", "1,0,8,3", "1,8,0,3", "1,8,8,0",
    "1,8,8,1", "1,8,8,4", "1,3,8,8", "1,8,7,3", "2,8,8,3", "1,16,4,3x", "1,8,8,3\t;",
    "٣,8,8,3".encode().decode("latin-1"), "9" * 5000, "1," * 5000, "${jndi:ldap://x},8,8,3",
    "'; drop table images; --", "../../etc/passwd", "%31,8,8,3", "01" * 10 + ",8,8,3",
]  # fmt: skip
TOO_MUCH = [
    "257,1,1,3", "999999999,1,1,3", "999999999,999999999,999999999,3", "1,999999999,999999999,3",
    "999999999,0,0,3", "18446744073709551617,8,8,3", "4294967297,8,8,3", "256,999999999,1,3",
]  # fmt: skip


def length_cases(_rng: np.random.Generator) -> Iterator[Case]:
    picture = encode(plain())
    for length in NOT_LENGTHS:
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


def shape_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in NOT_SHAPES:
        yield _with_shape(shape, WRONG)
    for shape in TOO_MUCH:
        yield _with_shape(shape, REJECTED)
    for _ in range(8):
        shape = ",".join(str(int(10 ** rng.uniform(0, 12))) for _ in range(4))
        yield _with_shape(shape, REJECTED)
    yield once("none", request(BODY, RAW), WRONG)
    yield once("NUL in it", request(BODY, RAW, [("X-Shape", "1,8\0,8,3")]), accept(PLAIN_400))
    twice = [("X-Shape", "1,8,8,3"), ("X-Shape", "2,8,8,3")]
    yield once("two of them", request(BODY, RAW, twice), accept(OK, *WRONG))
    yield once(
        "one for an encoded image", request(BODY, "image/png", twice), accept("undecodable-image")
    )
    yield once(
        "pixels of another size", request(bytes(3), RAW, [("X-Shape", "1,1,1,3")]), accept(OK)
    )
    thin = request(bytes(3 * 60_000), RAW, [("X-Shape", "1,1,60000,3")])
    yield once("a strip of 1 x 60000", thin, accept(OK))


def _with_shape(shape: str, accepted: frozenset[str]) -> Case:
    return once(repr(shape[:40]), request(BODY, RAW, [("X-Shape", shape)]), accepted)
