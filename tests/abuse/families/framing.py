"""Chunked bodies, request smuggling, HTTP versions, upgrades and pipelines, and other bytes."""

from collections.abc import Iterator, Mapping

import numpy as np

from tests.abuse.case import OK, PLAIN_400, SILENCE, Case, accept, once, request
from tests.service.pictures import encode, plain

PICTURE = encode(plain())
HEAD = b"POST /predict HTTP/1.1\r\nHost: guard\r\nConnection: close\r\nContent-Type: image/png\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: guard\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: guard\r\nConnection: close\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(PICTURE), PICTURE)
TRAILERS = b"0\r\nAuthorization: Bearer x\r\nContent-Type: text/plain\r\n\r\n"
BROKEN = accept(PLAIN_400, SILENCE, "request-header-fields-too-large")
ANY_OUTCOME = accept(
    OK,
    PLAIN_400,
    SILENCE,
    "undecodable-image",
    "unsupported-content",
    "request-header-fields-too-large",
)


def chunk_cases(_rng: np.random.Generator) -> Iterator[Case]:
    for accepted, scripts in [
        (accept(OK), _valid_chunks()),
        (BROKEN, _invalid_chunks()),
        (ANY_OUTCOME, _smuggled()),
    ]:
        for name, sent in scripts.items():
            yield Case(name=name, steps=(sent,), accepted=accepted, disconnects=accepted == BROKEN)
    for name, sent in _large_trailers().items():
        yield once(name, sent, accept("request-header-fields-too-large", SILENCE))
    yield once("a million chunks of a byte", CHUNKED + b"1\r\na\r\n" * 10**6, BROKEN)
    endless = CHUNKED + (b"100000\r\n" + bytes(2**20) + b"\r\n") * 17 + b"0\r\n\r\n"
    yield once("chunks beyond the limit", endless, accept("body-too-large", SILENCE))


def _valid_chunks() -> Mapping[str, bytes]:
    single = b"".join(b"1\r\n" + PICTURE[i : i + 1] + b"\r\n" for i in range(len(PICTURE)))
    return {
        "a chunk a byte": CHUNKED + single + b"0\r\n\r\n",
        "chunks with extensions": CHUNKED + CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n",
        "a length with zeros before it": CHUNKED + b"0000" + CHUNK + b"0\r\n\r\n",
        "trailers": CHUNKED + CHUNK + b"0\r\nX-Shape: 9,9,9,9\r\nContent-Type: text/plain\r\n\r\n",
        "a key and a type as trailers": CHUNKED + CHUNK + TRAILERS,
        "1000 trailers": CHUNKED + CHUNK + b"0\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
    }


def _large_trailers() -> Mapping[str, bytes]:
    start = CHUNKED + CHUNK + b"0\r\n"
    return {
        "20000 trailers": start + b"a: b\r\n" * 20_000 + b"\r\n",
        "a million trailers": start + b"a: b\r\n" * 10**6 + b"\r\n",
        "a trailer of 1 MiB": start + b"a: " + b"b" * 2**20 + b"\r\n\r\n",
        "a trailer's name of 1 MiB": start + b"a" * 2**20 + b": b\r\n\r\n",
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
        "a length of 1 MiB of digits": CHUNKED + b"0" * 2**20 + CHUNK + b"0\r\n\r\n",
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
        "a GET with a body": GET[:-2] + b"Content-Length: 5\r\n\r\nhello" + LAST,
    }


VERSIONS = ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/9.9", "HTTP/1.", "HTTP", "ICY"]


def protocol_cases(rng: np.random.Generator) -> Iterator[Case]:
    for name, sent in {**_versions(), **_pipelines()}.items():
        yield once(name, sent, ANY_OUTCOME)
    for name, sent in _not_http(rng).items():
        yield Case(name=name, steps=(sent,), accepted=BROKEN, disconnects=True)


def _versions() -> Mapping[str, bytes]:
    return {
        "HTTP/1.0": request(PICTURE, "image/png", version="HTTP/1.0"),
        "HTTP/1.0 that stays": b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.0 with chunks": CHUNKED.replace(b"1.1", b"1.0") + CHUNK + b"0\r\n\r\n",
        "HTTP/1.1 without a host": b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
        **{
            f"version {version}": request(PICTURE, "image/png", version=version)
            for version in VERSIONS
        },
        "an upgrade to a web socket": _upgrade(b"websocket"),
        "an upgrade to h2c": _upgrade(b"h2c"),
        "an upgrade of a picture": request(
            PICTURE, "image/png", [("Upgrade", "websocket"), ("Connection", "Upgrade")]
        ),
        "an expectation": request(PICTURE, "image/png", [("Expect", "100-continue")]),
        "an expectation of HTTP/1.0": request(
            PICTURE, "image/png", [("Expect", "100-continue")], version="HTTP/1.0"
        ),
        "an unknown expectation": request(PICTURE, "image/png", [("Expect", "a-miracle")]),
    }


def _upgrade(to: bytes) -> bytes:
    lines = [
        b"GET /healthz HTTP/1.1",
        b"Host: guard",
        b"Connection: close, Upgrade",
        b"Upgrade: " + to,
    ]
    return b"\r\n".join([*lines, b"Sec-WebSocket-Version: 13", b"", b""])


def _pipelines() -> Mapping[str, bytes]:
    return {
        "200 requests at once": GET * 200 + LAST,
        "5000 requests at once": GET * 5000 + LAST,
        "5000 requests behind a body": _kept(request(PICTURE, "image/png")) + GET * 5000 + LAST,
        "a body of requests and an upgrade": request(
            GET * 1000, "image/png", [("Upgrade", "h2c"), ("Connection", "Upgrade")]
        ),
        "blank lines after a request": GET + b"\r\n" * 100_000 + LAST,
        "pictures and junk in turns": _kept(request(PICTURE, "image/png")) * 20 + LAST,
        "a valid one, then no HTTP": GET + b"\xff\xff\xff\r\n\r\n",
        "a rejected one, then a valid one": request(b"x", "text/plain").replace(b"close", b"x")
        + LAST,
        "more behind a close": LAST + GET * 5,
        "line breaks before a request": b"\r\n" * 100 + LAST,
    }


def _kept(sent: bytes) -> bytes:
    return sent.replace(b"close", b"keep-alive")


def _not_http(rng: np.random.Generator) -> Mapping[str, bytes]:
    return {
        "nothing": b"",
        "one NUL": b"\0",
        "random bytes": rng.bytes(2000),
        "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.bytes(500),
        "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
        "a Redis command": b"*1\r\n$4\r\nPING\r\n",
        "an SSH banner": b"SSH-2.0-OpenSSH_9.0\r\n",
        "a request line that never ends": b"GET /" + b"a" * 100_000,
        "headers that never end": b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000,
        "a request line of LF": b"GET / HTTP/1.1\n\n\n\n"[:-3],
        "an empty method": b" / HTTP/1.1\r\n\r\n",
        "no target": b"GET HTTP/1.1\r\n\r\n",
    }
