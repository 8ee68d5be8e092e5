"""Images and request bodies that are cut off at every kind of boundary, or changed at random."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from tests.abuse.bodies import (
    BOUNDARY,
    JSON,
    MULTIPART,
    RAW,
    encodings,
    json_images,
    multipart,
    noise,
)
from tests.abuse.case import DECODED, OK, Case, accept, once, request
from tests.service.pictures import encode, plain

BROKEN = accept("malformed-body", "wrong-fields", "undecodable-image")
CUTS_AT_RANDOM = 6
MUTATIONS = 10


def cut_image_cases(rng: np.random.Generator) -> Iterator[Case]:
    seen: set[tuple[str, bytes]] = set()
    for kind, (mime, data) in encodings(noise(rng)).items():
        boundaries = [*range(1, 32, 5), *_marks(data), len(data) - 1, len(data) - 12]
        cuts = [*boundaries, *rng.integers(1, len(data), CUTS_AT_RANDOM).tolist()]
        for cut in sorted(set(cuts)):
            # Two kinds of one format begin with the same bytes.
            if (mime, data[:cut]) not in seen:
                yield once(f"{kind}, {cut} bytes", request(data[:cut], mime), DECODED)
            seen.add((mime, data[:cut]))
        middle = request(multipart(data, data[: len(data) // 2], data), MULTIPART)
        yield once(f"{kind}, the second of three files", middle, DECODED)
        yield once(f"{kind}, without its first byte", request(data[1:], mime), DECODED)
        yield once(f"{kind}, twice", request(data + data, mime), DECODED)


def _marks(data: bytes) -> Sequence[int]:
    """Return the starts of chunks or segments, and the positions four bytes later."""
    if data.startswith(b"\xff\xd8"):
        found = [match.start() for match in re.finditer(rb"\xff[\xc0-\xfe]", data)]
    else:
        found = [match.start() for match in re.finditer(rb"IDAT|IEND|VP8[LX ]", data)]
    # Only the first segments and the last one: within the pixels, many matches are accidental.
    return [start + step for start in (*found[:6], found[-1]) for step in (0, 4)]


def cut_body_cases(rng: np.random.Generator) -> Iterator[Case]:
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


def mutated_cases(rng: np.random.Generator) -> Iterator[Case]:
    pictures = encodings(noise(rng))
    bodies = {
        **pictures,
        "JSON": (JSON, json_images(pictures["png"][1])),
        "multipart": (MULTIPART, multipart(pictures["png"][1], pictures["jpeg"][1])),
    }
    accepted = accept("malformed-body", "wrong-fields", *DECODED)
    for kind, (content_type, body) in bodies.items():
        for number in range(MUTATIONS):
            yield once(f"{kind}, {number}", request(_changed(body, rng), content_type), accepted)


def _changed(data: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite, remove or repeat a few bytes, more often near the start."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        place = int(len(changed) * rng.random() ** 3)
        width = int(rng.integers(1, 5))
        what = rng.integers(3)
        if what == 0:
            changed[place : place + width] = rng.bytes(width)
        elif what == 1:
            del changed[place : place + width]
        else:
            changed[place:place] = changed[place : place + width] * int(rng.integers(1, 50))
    return bytes(changed)
