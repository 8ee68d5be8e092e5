"""Request bodies cut off at every kind of boundary, whose length says that they are whole."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.hostile import OK, Case, accept, once, request
from tests.abuse.samples import BOUNDARY, JSON, MULTIPART, RAW, json_images, multipart
from tests.service.pictures import encode, plain

BROKEN = accept("malformed-body", "wrong-fields", "undecodable-image")


def cases(rng: np.random.Generator) -> Iterator[Case]:
    picture = encode(plain())
    yield from _multipart(multipart(picture, picture))
    yield from _json(json_images(picture, picture))
    for length in [0, 1, 191, 193, 384, *rng.integers(2, 190, 4).tolist()]:
        sent = request(bytes(length), RAW, [("X-Shape", "1,8,8,3")])
        yield once(f"raw pixels, {length} bytes of 192", sent, accept("wrong-fields"))


def _multipart(body: bytes) -> Iterator[Case]:
    boundary = b"--" + BOUNDARY.encode()
    second = body.index(boundary, 1)
    header = body.index(b"Content-Disposition")
    for what, cut in [
        ("nothing of it", 0),
        ("within the first boundary", 5),
        ("behind the first boundary", len(boundary)),
        ("behind the CR of the first boundary", len(boundary) + 1),
        ("behind the first boundary's line", len(boundary) + 2),
        ("within a header's name", header + 7),
        ("behind a header's colon", header + 20),
        ("within a header's quotes", header + 40),
        ("behind a header's line", body.index(b"\r\n", header) + 2),
        ("behind the headers", body.index(b"\r\n\r\n") + 4),
        ("within the first file", body.index(b"\r\n\r\n") + 30),
        ("before the second boundary", second),
        ("behind the CR before the second boundary", second - 1),
        ("within the second boundary", second + 6),
        ("behind the second boundary", second + len(boundary)),
        ("before the closing boundary", body.rindex(boundary)),
        ("behind one hyphen of the closing boundary", len(body) - 3),
    ]:
        yield once(f"multipart, {what}", request(body[:cut], MULTIPART), BROKEN)
    whole_enough = accept(OK, "malformed-body")
    yield once("multipart, without the last LF", request(body[:-1], MULTIPART), whole_enough)
    yield once("multipart, without the last CR LF", request(body[:-2], MULTIPART), whole_enough)
    yield once("multipart, without its beginning", request(body[1:], MULTIPART), BROKEN)


def _json(body: bytes) -> Iterator[Case]:
    for what, cut in [
        ("nothing of it", 0),
        ("behind the brace", 1),
        ("within the name", 5),
        ("behind the name", body.index(b":")),
        ("behind the colon", body.index(b":") + 1),
        ("behind the bracket", body.index(b"[") + 1),
        ("behind a quote", body.index(b"[") + 2),
        ("within base64", body.index(b"[") + 30),
        ("behind the first string", body.index(b",")),
        ("behind the comma", body.index(b",") + 1),
        ("before the bracket", len(body) - 2),
        ("before the brace", len(body) - 1),
    ]:
        yield once(f"JSON, {what}", request(body[:cut], JSON), accept("malformed-body"))
