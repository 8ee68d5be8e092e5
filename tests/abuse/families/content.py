"""Content types and encodings that are missing, wrong, malformed or false."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator

import numpy as np

from tests.abuse.bodies import BOUNDARY, JSON, MULTIPART, RAW, json_images, multipart, part
from tests.abuse.case import DECODED, OK, PLAIN_400, Case, accept, once, request
from tests.service.pictures import encode, plain

REJECTED = accept("unsupported-content")
PICTURE = encode(plain())
CONTENT_ENCODINGS = [
    "gzip", "deflate", "br", "zstd", "compress", "x-gzip", "GZIP", "identity, gzip",
    "gzip, gzip, gzip", "\tgzip ", "nonsense", ",", "gzip;q=0", "a" * 8000,
]  # fmt: skip
TRANSFER_ENCODINGS = [
    b"gzip", b"gzip, chunked", b"chunked, gzip", b"deflate", b"identity", b"nonsense",
]  # fmt: skip


def encoding_cases(_rng: np.random.Generator) -> Iterator[Case]:
    for encoding in CONTENT_ENCODINGS:
        sent = request(
            gzip.compress(PICTURE, mtime=0), "image/png", [("Content-Encoding", encoding)]
        )
        yield once(f"content encoding {encoding[:30]!r}", sent, REJECTED)
    for name, bomb in _bombs().items():
        sent = request(bomb, JSON, [("Content-Encoding", name.split()[0])])
        yield once(f"{name} bomb as JSON", sent, REJECTED)
        yield once(
            f"{name} bomb as an image", request(bomb, "image/png"), accept("undecodable-image")
        )
    twice = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    yield once("two content encodings", request(PICTURE, "image/png", twice), accept(OK, *REJECTED))
    same = request(PICTURE, "image/png", [("Content-Encoding", "IDENTITY")])
    yield once("the identity, in capitals", same, accept(OK))
    packed = gzip.compress(json_images(PICTURE), mtime=0)
    yield once(
        "JSON in gzip without a content encoding", request(packed, JSON), accept("malformed-body")
    )
    packed = gzip.compress(multipart(PICTURE), mtime=0)
    sent = request(packed, MULTIPART)
    yield once("multipart in gzip without a content encoding", sent, accept("malformed-body"))
    for encoding in ["base64", "quoted-printable", "gzip"]:
        disposition = b'form-data; name="files"\r\nContent-Transfer-Encoding: ' + encoding.encode()
        sent = request(part(b"aaaa", disposition) + multipart(), MULTIPART)
        yield once(f"a part in {encoding}", sent, accept("undecodable-image"))
    yield from _transfer_encodings()


def _bombs() -> dict[str, bytes]:
    zeros = bytes(8 * 2**20)
    return {
        "gzip": gzip.compress(zeros, mtime=0),
        "gzip of gzip": gzip.compress(gzip.compress(zeros, mtime=0), mtime=0),
        "deflate": zlib.compress(zeros),
        "bzip2": bz2.compress(zeros),
        "xz": lzma.compress(zeros, preset=0),
        "gzip that is cut off": gzip.compress(zeros, mtime=0)[:1000],
    }


def _transfer_encodings() -> Iterator[Case]:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: guard\r\nConnection: close\r\nContent-Type: image/png\r\n"
    )
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PICTURE), PICTURE)
    for encoding in TRANSFER_ENCODINGS:
        sent = head + b"Transfer-Encoding: " + encoding + b"\r\n\r\n" + chunk
        accepted = accept(OK, PLAIN_400, "undecodable-image", "unsupported-content")
        yield once(f"transfer encoding {encoding.decode()!r}", sent, accepted)


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


def type_cases(_rng: np.random.Generator) -> Iterator[Case]:
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
