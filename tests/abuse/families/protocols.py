"""HTTP versions, upgrades and pipelines, and bytes that are not HTTP."""

from collections.abc import Iterator, Mapping

import numpy as np

from tests.abuse.case import Case, once, request
from tests.abuse.families.framing import ANY_OUTCOME, BROKEN, CHUNK, CHUNKED, GET, LAST, PICTURE

VERSIONS = ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/9.9", "HTTP/1.", "HTTP", "ICY"]


def cases(rng: np.random.Generator) -> Iterator[Case]:
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
        "pictures and junk in turns": request(PICTURE, "image/png").replace(b"close", b"keep-alive")
        * 20
        + LAST,
        "a valid one, then no HTTP": GET + b"\xff\xff\xff\r\n\r\n",
        "a rejected one, then a valid one": request(b"x", "text/plain").replace(b"close", b"x")
        + LAST,
        "more behind a close": LAST + GET * 5,
        "line breaks before a request": b"\r\n" * 100 + LAST,
    }


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
