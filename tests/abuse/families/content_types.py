"""Content types that are missing, wrong, malformed or false."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.bodies import BOUNDARY, JSON, MULTIPART, RAW, json_images, multipart
from tests.abuse.case import DECODED, OK, PLAIN_400, Case, accept, once, request
from tests.service.pictures import encode, plain

REJECTED = accept("unsupported-content")
PICTURE = encode(plain())

NOT_ACCEPTED = [
    "", " ", ";", "/", "*/*", "image/*", "image", "image/gif", "image/tiff", "image/svg+xml",
    "text/plain", "text/html", "application/x-www-form-urlencoded", "application/xml",
    "application/json-patch+json", "application/json/x", "multipart/mixed; boundary=x",
    "multipart/form-data, image/png", "image/png, image/png", "image/png image/png", "imagepng",
    "image\\png", "application/octet-stream-x", "a" * 20_000, "image/png" * 2000, ";" * 20_000,
    "é/é", "message/rfc822", "${jndi:ldap://x}/png",
]  # fmt: skip
STILL_PNG = [
    "IMAGE/PNG", "image/png;", "image/png; charset=utf-8", "image/png;;;;;", "image/png; q",
    "image/png; =", "image/png; a=" + "b" * 8000, "image/png" + "; a=b" * 4000,
    'image/png; a="', 'image/png; a="\\"', "image/png; a*=utf-8''%ff", "image/png; a*0=b; a*1=c",
]  # fmt: skip
BOUNDARIES = [
    "", "; boundary", "; boundary=", '; boundary=""', '; boundary="', "; boundary=other",
    "; boundary= ", f"; boundary={'b' * 300}", f"; boundary={'b' * 20_000}", "; boundary=\\",
    "; boundary=--", "; boundary=é", "; boundary*=utf-8''x", "; boundary=x; boundary=y",
    "; boundary=[.*]+", "; Boundary", f"; x={BOUNDARY}",
]  # fmt: skip


def cases(_rng: np.random.Generator) -> Iterator[Case]:
    for content_type in NOT_ACCEPTED:
        yield once(repr(content_type[:40]), request(PICTURE, content_type), REJECTED)
    yield once("none", request(PICTURE), REJECTED)
    yield once("NUL in it", request(PICTURE, "image/\0png"), accept(PLAIN_400))
    for content_type in STILL_PNG:
        yield once(repr(content_type[:40]), request(PICTURE, content_type), accept(OK, *REJECTED))
    two = [("Content-Type", "text/plain")]
    yield once("two of them", request(PICTURE, "image/png", two), accept(OK, *REJECTED))
    for end in BOUNDARIES:
        sent = request(multipart(PICTURE), "multipart/form-data" + end)
        yield once(
            f"multipart{end[:40]!r} of {len(end)}", sent, accept("malformed-body", *REJECTED)
        )
    yield from _false_types()


def _false_types() -> Iterator[Case]:
    bodies = {
        "png": PICTURE,
        "JSON": json_images(PICTURE),
        "multipart": multipart(PICTURE),
        "text": b"this is no image",
        "zeros": bytes(192),
    }
    kinds = {
        "png": "image/png",
        "jpeg": "image/jpeg",
        "webp": "image/webp",
        "JSON": JSON,
        "multipart": MULTIPART,
        "raw": RAW,
    }
    accepted = accept("malformed-body", "wrong-fields", *DECODED)
    for actual, body in bodies.items():
        for declared, content_type in kinds.items():
            # Zeros as raw pixels without a shape are a case of the family "shapes".
            if actual != declared and (actual, declared) != ("zeros", "raw"):
                yield once(
                    f"{actual} declared as {declared}", request(body, content_type), accepted
                )
