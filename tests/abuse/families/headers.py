"""Headers that are numerous, long, malformed or forged."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.case import OK, PLAIN_400, SILENCE, Case, accept, once, request
from tests.service.pictures import encode, plain

PNG = "image/png"
# A server may reject headers of this size, but it must not fail.
LARGE = accept(OK, PLAIN_400, "request-header-fields-too-large")
TOO_LARGE = accept("request-header-fields-too-large", SILENCE)
PREDICTED = accept(OK)
FORGED = [
    ("X-Request-Id", "a" * 10_000), ("X-Request-Id", ""), ("X-Request-Id", "a b"),
    ("X-Request-Id", "../../x"), ("X-Request-Id", "<script>"), ("X-Request-Id", "é"),
    ("X-Request-Id", '","level":"error'), ("X-Forwarded-For", "127.0.0.1, " * 500),
    ("X-Forwarded-Host", "evil.example"), ("X-Original-URL", "/metrics"), ("Forwarded", "for=_x"),
    ("X-HTTP-Method-Override", "DELETE"), ("Range", "bytes=0-0,1-1,2-2"), ("If-None-Match", "*"),
    ("Accept", "*/*;q=" + "9" * 1000), ("Accept", "," * 10_000), ("Accept-Encoding", "br;q=nan"),
    ("Cookie", "a=b; " * 10_000), ("Authorization", "Basic " + "A" * 10_000), ("Origin", "null"),
    ("Authorization", "Bearer \xff\xfe"), ("User-Agent", "() { :; }; /bin/true"),
    ("TE", "trailers"),
    ("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-00"), ("traceparent", "nonsense"),
    ("Connection", "close, X-Request-Id"), ("Content-Length-X", "5"), ("Content_Length", "5"),
]  # fmt: skip
TIMEOUTS = ["", "0", "-1", "1e3", "nan", "inf", "9" * 400, "1.5", "é", "0x10", "1000, 5"]


def cases(_rng: np.random.Generator) -> Iterator[Case]:
    picture = encode(plain())
    for name, value in FORGED:
        yield once(f"{name}: {value[:30]!r}", request(picture, PNG, [(name, value)]), PREDICTED)
    for value in TIMEOUTS:
        sent = request(picture, PNG, [("X-Timeout-Ms", value)])
        yield once(f"X-Timeout-Ms: {value[:30]!r}", sent, accept(OK, "wrong-fields"))
    numbered = [(f"X-{number}", "v") for number in range(10_000)]
    yield once("10000 headers", request(picture, PNG, numbered), LARGE)
    yield once("10000 times the same", request(picture, PNG, [("X", "v")] * 10_000), LARGE)
    yield once("10000 cookies", request(picture, PNG, [("Cookie", "a=b")] * 10_000), LARGE)
    for size in [2**14, 2**17, 2**20]:
        yield once(f"a value of {size} bytes", request(picture, PNG, [("X", "v" * size)]), LARGE)
        yield once(f"a name of {size} bytes", request(picture, PNG, [("X" * size, "v")]), LARGE)
    for size in [2**23, 2**25]:
        endless = [("X", "v" * size)]
        yield once(f"a value of {size} bytes", request(picture, PNG, endless), TOO_LARGE)
    for name, line in {
        "a NUL in a value": ("X", "a\0b"),
        "a NUL in a name": ("X\0", "a"),
        "a space in a name": ("X Y", "a"),
        "an empty name": ("", "a"),
        "a name of Latin-1": ("\xe9", "a"),
        "a value of controls": ("X", "\x01\x02\x1f\x7f"),
        "a value with a bare CR": ("X", "a\rb"),
        "a value with a bare LF": ("X", "a\nb"),
        "a folded value": ("X", "a\r\n b"),
        "a second request in a value": ("X", "a\r\n\r\nGET /metrics HTTP/1.1"),
    }.items():
        accepted = accept(OK, PLAIN_400, "undecodable-image", SILENCE)
        yield once(name, request(picture, PNG, [line]), accepted)
    yield once("nothing but a request line", b"GET /healthz HTTP/1.0\r\n\r\n", PREDICTED)
