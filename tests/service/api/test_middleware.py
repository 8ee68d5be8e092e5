"""Middleware: security headers, CORS, and draining."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from oodguard.service.api.middleware import SECURITY_HEADERS
from oodguard.service.app import create_app
from oodguard.service.inference.session import ModelSession
from oodguard.service.readiness import Readiness
from oodguard.service.settings import Settings
from tests.service.checks import problem
from tests.service.conftest import Issued, MakeClient
from tests.service.pictures import encode, plain

PNG = {"content-type": "image/png"}
PAGE = "https://shop.example"


def preflight(client: TestClient, origin: str, path: str = "/predict") -> dict[str, str]:
    response = client.options(
        path,
        headers={
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,x-shape",
        },
    )
    return {"status": str(response.status_code), **response.headers}


def test_every_response_has_the_security_headers(
    secured: TestClient, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {**PNG, **issued["predict"].headers}

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    responses = [
        secured.post("/predict", content=encode(plain()), headers=headers),
        secured.post("/predict", content=b"no image", headers=headers),
        secured.get("/predict", headers=headers),
        secured.get("/nowhere", headers=headers),
        secured.get("/predict"),
        secured.get("/metrics", headers=headers),
        secured.get("/healthz"),
        secured.get("/openapi.json"),
    ]
    monkeypatch.setattr(ModelSession, "_run", broken)
    responses.append(secured.post("/predict", content=encode(plain()), headers=headers))
    assert [each.status_code for each in responses] == [200, 400, 405, 404, 401, 403, 200, 200, 500]
    for response in responses:
        for name, value in SECURITY_HEADERS.items():
            assert response.headers.get_list(name) == [value]


def test_security_header_of_a_route_has_precedence(client: TestClient) -> None:
    policies = client.get("/docs").headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert "script" not in policies[0]
    assert policies[0].startswith("default-src 'self'")


def test_cors_is_disabled_by_default(client: TestClient) -> None:
    answer = client.get("/healthz", headers={"origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert preflight(client, PAGE)["status"] == "405"


def test_cors_allows_a_configured_origin_also_for_rejected_requests(
    make_secured: MakeClient, issued: Issued
) -> None:
    client = make_secured(cors_origins=f"{PAGE}, http://localhost:3000")
    for origin in (PAGE, "http://localhost:3000"):
        allowed = preflight(client, origin)
        assert allowed["status"] == "200"
        assert allowed["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in allowed
        for headers in (issued["predict"].headers, {}):
            answer = client.get("/models", headers={"origin": origin, **headers})
            assert answer.headers["access-control-allow-origin"] == origin
            assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_cors_rejects_other_origins_for_every_path(make_secured: MakeClient) -> None:
    client = make_secured(cors_origins=PAGE)
    for path in ("/predict", "/nowhere"):
        rejected = preflight(client, "https://evil.example", path)
        assert rejected["status"] == "400"
        assert "access-control-allow-origin" not in rejected
    response = client.get("/models", headers={"origin": "https://evil.example"})
    problem(response, 401, "key-missing")
    assert "access-control-allow-origin" not in response.headers


def test_cors_wildcard_allows_every_origin(make_client: MakeClient) -> None:
    client = make_client(cors_origins="*")
    answer = client.get("/healthz", headers={"origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "origins",
    ["shop.example", "https://shop.example/", "https://a.example,", "*, https://a.example", "null"],
)
def test_cors_setting_rejects_text_that_is_not_an_origin(origins: str) -> None:
    with pytest.raises(ValidationError):
        Settings(cors_origins=origins)


def test_responses_close_the_connection_while_draining(bundle_folder: Path) -> None:
    readiness = Readiness()
    with TestClient(create_app(Settings(bundle=bundle_folder), readiness)) as client:
        assert "connection" not in client.get("/healthz").headers
        readiness.drain()
        assert client.get("/healthz").headers["connection"] == "close"
        assert client.get("/nowhere").headers["connection"] == "close"
