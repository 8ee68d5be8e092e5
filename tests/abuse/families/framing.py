"""Chunked bodies and request smuggling: requests that two HTTP parsers may read differently."""

from collections.abc import Iterator, Mapping

import numpy as np

from tests.abuse.case import OK, PLAIN_400, SILENCE, Case, accept, once
from tests.service.pictures import encode, plain

PICTURE = encode(plain())
HEAD = b"POST /predict HTTP/1.1\r\nHost: guard\r\nConnection: close\r\nContent-Type: image/png\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: guard\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: guard\r\nConnection: close\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(PICTURE), PICTURE)
BROKEN = accept(PLAIN_400, SILENCE, "request-header-fields-too-large")
ANY_OUTCOME = accept(OK, PLAIN_400, SILENCE, "undecodable-image", "unsupported-content")


def cases(_rng: np.random.Generator) -> Iterator[Case]:
    for accepted, scripts in [
        (accept(OK), _valid_chunks()),
        (BROKEN, _invalid_chunks()),
        (ANY_OUTCOME, _smuggled()),
    ]:
        for name, sent in scripts.items():
            yield Case(name=name, steps=(sent,), accepted=accepted, disconnects=accepted == BROKEN)
    endless = CHUNKED + (b"100000\r\n" + bytes(2**20) + b"\r\n") * 17 + b"0\r\n\r\n"
    yield once("chunks beyond the limit", endless, accept("body-too-large", SILENCE))


def _valid_chunks() -> Mapping[str, bytes]:
    single = b"".join(b"1\r\n" + PICTURE[i : i + 1] + b"\r\n" for i in range(len(PICTURE)))
    return {
        "a chunk a byte": CHUNKED + single + b"0\r\n\r\n",
        "chunks with extensions": CHUNKED + CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n",
        "a length with zeros before it": CHUNKED + b"0000" + CHUNK + b"0\r\n\r\n",
        "trailers": CHUNKED + CHUNK + b"0\r\nX-Shape: 9,9,9,9\r\nContent-Type: text/plain\r\n\r\n",
        "1000 trailers": CHUNKED + CHUNK + b"0\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
    }


def _invalid_chunks() -> Mapping[str, bytes]:
    return {
        "a chunk of negative length": CHUNKED + b"-1\r\nx\r\n0\r\n\r\n",
        "a chunk of 0x length": CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n",
        "a chunk beyond 64 bits": CHUNKED + b"f" * 17 + b"\r\nx",
        "a chunk of 8 EiB": CHUNKED + b"7fffffffffffffff\r\nx",
        "a chunk without a length": CHUNKED + b"\r\nx\r\n0\r\n\r\n",
        "a chunk longer than its length": CHUNKED + b"3\r\nabcdefgh\r\n0\r\n\r\n",
        "a chunk shorter than its length": CHUNKED + b"ff\r\nabc\r\n0\r\n\r\n",
        "a chunk that ends in LF": CHUNKED + b"3\nabc\n0\n\n",
        "an extension of 1 MiB": CHUNKED + b"1;" + b"e" * 2**20,
        "no last chunk": CHUNKED + CHUNK,
        "a last chunk without its line": CHUNKED + CHUNK + b"0\r\n",
        "a chunk's length in spaces": CHUNKED + b" 5 \r\nabcde\r\n0\r\n\r\n",
    }


def _smuggled() -> Mapping[str, bytes]:
    smuggled = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: guard\r\nConnection: close\r\n\r\n"

    def with_headers(*lines: bytes) -> bytes:
        return HEAD + b"\r\n".join(lines) + b"\r\n\r\n" + smuggled

    length = b"Content-Length: %d" % len(smuggled)
    return {
        "a length and chunks": with_headers(length, b"Transfer-Encoding: chunked"),
        "chunks and a length": with_headers(b"Transfer-Encoding: chunked", length),
        "a length of 4 and chunks": with_headers(
            b"Content-Length: 4", b"Transfer-Encoding: chunked"
        ),
        "chunks twice": with_headers(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        "chunks with a tab": with_headers(b"Transfer-Encoding:\tchunked", length),
        "chunks with a space before the colon": with_headers(
            b"Transfer-Encoding : chunked", length
        ),
        "chunks on a folded line": with_headers(b"Transfer-Encoding:\r\n chunked", length),
        "chunks in capitals": with_headers(b"TRANSFER-ENCODING: CHUNKED", length),
        "chunks behind a vertical tab": with_headers(b"Transfer-Encoding: \x0bchunked", length),
        "xchunked": with_headers(b"Transfer-Encoding: xchunked", length),
        "chunked, identity": with_headers(b"Transfer-Encoding: chunked, identity", length),
        "a bare CR before the header": with_headers(b"X: y\rTransfer-Encoding: chunked", length),
        "two hosts": with_headers(b"Host: other", length),
        "a chunk's length of 1 MiB of digits": CHUNKED + b"0" * 2**20 + CHUNK + b"0\r\n\r\n",
        "a GET with a body": GET[:-2] + b"Content-Length: 5\r\n\r\nhello" + LAST,
    }
