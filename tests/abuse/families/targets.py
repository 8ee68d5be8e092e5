"""Paths and methods that are not served."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.case import OK, PLAIN_400, SILENCE, Case, accept, once, request
from tests.service.pictures import encode, plain

NOWHERE = accept("not-found", "unknown-model", "v2-404", PLAIN_400)

PATHS = [
    "/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/....//etc",
    "/docs/../../settings.py", "/docs/..%2f..%2fsettings.py", "/docs/%2e%2e/settings.py",
    "/docs/swagger-ui/../../../app.py", "/%00", "/predict%00", "/predict%00.png", "/predict/",
    "//predict", "/./predict", "/predict/..", "/PREDICT", "/predict;a=b", "/%70redict%2f",
    "/%ff%fe", "/%e2%82%ac", "/%", "/%zz", "/%u0041", "/\\..\\..", "/" + "a" * 8000,
    "/" + "a/" * 4000, "/" + "%41" * 3000, "/.git/config", "/.env", "/admin", "/models/../predict",
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


def cases(_rng: np.random.Generator) -> Iterator[Case]:
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
    query = request(picture, "image/png", target="/predict?" + "a=b&" * 4000)
    yield once("a query of 16 KB", query, accept(OK))
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
