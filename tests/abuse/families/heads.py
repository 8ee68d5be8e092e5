"""Paths and methods that are not served, and headers that are numerous, long or malformed."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.case import OK, PLAIN_400, SILENCE, Case, accept, once, request
from tests.service.pictures import encode, plain

NOWHERE = accept("not-found", "unknown-model", "v2-404", PLAIN_400)

PATHS = [
    "/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/....//etc",
    "/docs/../../settings.py", "/docs/..%2f..%2fsettings.py", "/docs/%2e%2e/settings.py",
    "/docs/swagger-ui/../../../app.py", "/playground/../app.py", "/playground/..%2fapp.py",
    "/playground/%00", "/playground/none.js", "/admin/samples/..%2f..%2fkeys.toml",
    "/%00", "/predict%00", "/predict%00.png", "/predict/",
    "//predict", "/./predict", "/predict/..", "/PREDICT", "/predict;a=b", "/%70redict%2f",
    "/%ff%fe", "/%e2%82%ac", "/%", "/%zz", "/%u0041", "/\\..\\..", "/" + "a" * 8000,
    "/" + "a/" * 4000, "/" + "%41" * 2500, "/.git/config", "/.env", "/admin", "/models/../predict",
    "/models/%2e%2e/predict", "/models/unknown/predict", "/models/unknown/versions/0/predict",
    "/models//predict", "/v2/models/unknown/infer", "/admin/models/unknown/reload",
    "/<script>alert(1)</script>", "/${jndi:ldap://x}", "/{0}", "/%0d%0aSet-Cookie:%20a=b",
    "/static/swagger-ui/swagger-ui.css", "/openapi.json/", "/metrics/x", "/cgi-bin/sh", "/%3f",
]  # fmt: skip
TARGETS = [
    "http://guard/nowhere", "http://other.example/nowhere", "//other.example/nowhere", "*",
    "nowhere", "?x", "#x", "", "http://", "http://[::1", "http://guard:99999/", "file:///etc/passwd",
    "guard:443", "/ /nowhere", "/nowhere\t", "\xff/", "/é",
]  # fmt: skip
METHODS = [
    "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW",
    "post", "P OST", "", "POST\0", "G" * 5000, "PURGE", "MKCOL", "SEARCH",
]  # fmt: skip


def target_cases(_rng: np.random.Generator) -> Iterator[Case]:
    picture = encode(plain())
    for path in PATHS:
        sent = request(picture, "image/png", target=path)
        yield once(
            f"POST {path[:40]!r}", sent, accept(*NOWHERE, "method-not-allowed", "wrong-fields")
        )
    for target in TARGETS:
        sent = request(target=target, method="GET")
        yield once(f"GET {target[:40]!r}", sent, accept(*NOWHERE, SILENCE))
    for method in METHODS:
        for path in ["/predict", "/healthz", "/nowhere"]:
            yield _method(method, path)
    absolute = request(picture, "image/png", target="http://other.example/predict")
    yield once("an absolute target of /predict", absolute, accept(OK, *NOWHERE))
    for count, accepted in [(2000, accept(OK)), (15_000, TOO_LARGE)]:
        query = request(picture, "image/png", target="/predict?" + "a=b&" * count)
        yield once(f"a query of {4 * count} bytes", query, accepted)
    for target in ["/healthz?" + "a=b&" * 15_000, "/models/" + "%41" * 20_000]:
        sent = request(target=target, method="GET")
        yield once(f"a target of {len(target)} bytes", sent, TOO_LARGE)
    for ranges in ["bytes=0-1", "bytes=5-1", "bytes=99999999-", "bytes=" + "0-9," * 10_000]:
        sent = request(target="/docs", method="GET", headers=[("Range", ranges)])
        yield once(f"a range of {ranges[:20]!r}", sent, accept(OK))
    odd = request(picture, "image/png", target="/predict?x=%00%ff&x[]=1&x[__proto__]=2#y")
    yield once("an odd query", odd, accept(OK))


def _method(method: str, path: str) -> Case:
    accepted = accept("method-not-allowed", "not-found", PLAIN_400, SILENCE, "head-405", "head-404")
    if path == "/healthz" and method in {"GET", "HEAD"}:
        accepted = accept(OK, "head-200")
    return Case(
        name=f"method {method[:12]!r} of {path}",
        steps=(request(method=method, target=path),),
        accepted=accepted,
        disconnects=method == "CONNECT",
        method=method,
    )


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

RATES = ["", "0", "1", "-0.1", "1e-400", "nan", "inf", "0." + "9" * 400, "é", "0x1", "0.1, 0.2"]


def header_cases(_rng: np.random.Generator) -> Iterator[Case]:
    picture = encode(plain())
    for name, value in FORGED:
        yield once(f"{name}: {value[:30]!r}", request(picture, PNG, [(name, value)]), PREDICTED)
    for value in TIMEOUTS:
        sent = request(picture, PNG, [("X-Timeout-Ms", value)])
        yield once(f"X-Timeout-Ms: {value[:30]!r}", sent, accept(OK, "wrong-fields"))
    for value in RATES:
        sent = request(picture, PNG, [("X-FDR", value)])
        yield once(f"X-FDR: {value[:30]!r}", sent, accept("wrong-fields"))
    twice = [("X-FDR", "0.1"), ("x-fdr", "0.2")]
    yield once("X-FDR twice", request(picture, PNG, twice), accept("wrong-fields"))
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
