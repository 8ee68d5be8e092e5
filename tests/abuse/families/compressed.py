"""Bodies with a content or transfer encoding, and compressed bodies without one."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator

import numpy as np

from tests.abuse.bodies import JSON, MULTIPART, json_images, multipart, part
from tests.abuse.case import OK, PLAIN_400, Case, accept, once, request
from tests.service.pictures import encode, plain

REJECTED = accept("unsupported-content")
CONTENT_ENCODINGS = [
    "gzip", "deflate", "br", "zstd", "compress", "x-gzip", "GZIP", "identity, gzip",
    "gzip, gzip, gzip", "\tgzip ", "nonsense", ",", "gzip;q=0", "a" * 8000,
]  # fmt: skip
TRANSFER_ENCODINGS = [
    b"gzip", b"gzip, chunked", b"chunked, gzip", b"deflate", b"identity", b"nonsense",
]  # fmt: skip


def cases(_rng: np.random.Generator) -> Iterator[Case]:
    picture = encode(plain())
    for encoding in CONTENT_ENCODINGS:
        sent = request(
            gzip.compress(picture, mtime=0), "image/png", [("Content-Encoding", encoding)]
        )
        yield once(f"content encoding {encoding[:30]!r}", sent, REJECTED)
    for name, bomb in _bombs().items():
        sent = request(bomb, JSON, [("Content-Encoding", name.split()[0])])
        yield once(f"{name} bomb as JSON", sent, REJECTED)
        yield once(
            f"{name} bomb as an image", request(bomb, "image/png"), accept("undecodable-image")
        )
    twice = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    yield once("two content encodings", request(picture, "image/png", twice), accept(OK, *REJECTED))
    same = request(picture, "image/png", [("Content-Encoding", "IDENTITY")])
    yield once("the identity, in capitals", same, accept(OK))
    packed = gzip.compress(json_images(picture), mtime=0)
    yield once(
        "JSON in gzip without a content encoding", request(packed, JSON), accept("malformed-body")
    )
    packed = gzip.compress(multipart(picture), mtime=0)
    sent = request(packed, MULTIPART)
    yield once("multipart in gzip without a content encoding", sent, accept("malformed-body"))
    for encoding in ["base64", "quoted-printable", "gzip"]:
        disposition = b'form-data; name="files"\r\nContent-Transfer-Encoding: ' + encoding.encode()
        sent = request(part(b"aaaa", disposition) + multipart(), MULTIPART)
        yield once(f"a part in {encoding}", sent, accept("undecodable-image"))
    yield from _transfer_encodings(picture)


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


def _transfer_encodings(picture: bytes) -> Iterator[Case]:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: guard\r\nConnection: close\r\nContent-Type: image/png\r\n"
    )
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(picture), picture)
    for encoding in TRANSFER_ENCODINGS:
        sent = head + b"Transfer-Encoding: " + encoding + b"\r\n\r\n" + chunk
        accepted = accept(OK, PLAIN_400, "undecodable-image", "unsupported-content")
        yield once(f"transfer encoding {encoding.decode()!r}", sent, accepted)
