"""X-Shape values that are not a shape, or not the shape of the body."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.bodies import RAW
from tests.abuse.case import OK, PLAIN_400, Case, accept, once, request

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


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape in NOT_SHAPES:
        yield _with(shape, WRONG)
    for shape in TOO_MUCH:
        yield _with(shape, REJECTED)
    for _ in range(8):
        shape = ",".join(str(int(10 ** rng.uniform(0, 12))) for _ in range(4))
        yield _with(shape, REJECTED)
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


def _with(shape: str, accepted: frozenset[str]) -> Case:
    return once(repr(shape[:40]), request(BODY, RAW, [("X-Shape", shape)]), accepted)
