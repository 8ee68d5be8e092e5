"""Authorization: roles declared on routes, deny by default, and responses that reveal nothing."""

import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from oodguard.service.auth.keys import new_token
from oodguard.service.auth.roles import PUBLIC, required_roles, requires
from tests.service.api_keys import IssuedKey, bearer, write_key_file
from tests.service.checks import metric, post, predictions, problem
from tests.service.conftest import AccessLog, Issued, MakeClient
from tests.service.pictures import encode, plain

ROUTE_OF_ROLE = {
    "predict": ("GET", "/models"),
    "metrics": ("GET", "/metrics"),
    "admin": ("POST", "/admin/models/reload"),
}

PUBLIC_PATHS = {
    "/healthz",
    "/readyz",
    "/v2/health/live",
    "/v2/health/ready",
    "/openapi.json",
    "/docs",
    "/docs/start.js",
    "/docs/swagger-ui-bundle.js",
    "/docs/swagger-ui.css",
    "/docs/favicon.png",
    "/",
    "/playground/config",
    "/playground/{file}",
}

GUIDE_PATHS = {"/guide", "/guide/"}
"""Answered by 404 with the setting OODGUARD_GUIDE, where the documentation is not served."""


def app_of(client: TestClient) -> FastAPI:
    assert isinstance(client.app, FastAPI)
    return client.app


def denied(client: TestClient, issued: Issued, reason: str) -> float:
    text = client.get("/metrics", headers=issued["metrics"].headers).text
    return metric(text, "oodguard_denied_total", reason=reason)


def test_every_route_declares_its_access(secured: TestClient) -> None:
    declared = {
        (route.path, method): required_roles(route)
        for route in iter_route_contexts(app_of(secured).routes)
        for method in route.methods or {""}
    }
    assert len(declared) > 20
    assert [route for route, roles in declared.items() if roles is None] == []
    assert {
        path for (path, _), roles in declared.items() if not roles
    } == PUBLIC_PATHS | GUIDE_PATHS
    assert declared["/predict", "POST"] == frozenset({"predict"})
    assert declared["/v2/models/{name}/infer", "POST"] == frozenset({"predict"})
    assert declared["/admin/models/{name}/reload", "POST"] == frozenset({"admin"})


def add_new_routes(app: FastAPI) -> None:
    """Add routes after the app was created: undeclared ones, and one for each declaration."""

    async def endpoint() -> str:
        return "reached"

    plain_router, included, public = APIRouter(), APIRouter(), APIRouter(dependencies=[PUBLIC])
    plain_router.add_api_route("/predict/new", endpoint)
    included.add_api_route("/included", endpoint)
    public.add_api_route("/public", endpoint)
    public.add_api_route("/both", endpoint, dependencies=[requires("admin")])
    app.include_router(plain_router)
    app.include_router(included, prefix="/new", dependencies=[requires("metrics")])
    app.include_router(public)
    app.router.add_route("/starlette", lambda _: pytest.fail("reached"))
    app.mount("/mounted", FastAPI())


@pytest.mark.parametrize("path", ["/predict/new", "/starlette", "/mounted/docs"])
def test_undeclared_route_is_forbidden_for_every_key(
    make_secured: MakeClient, key_file: Path, issued: Issued, path: str
) -> None:
    all_roles = IssuedKey.create(*ROUTE_OF_ROLE, key_id="all-roles")
    keys = (*issued.values(), all_roles)
    write_key_file(key_file, *keys)
    client = make_secured()
    add_new_routes(app_of(client))
    problem(client.get(path), 401, "key-missing")
    for key in keys:
        response = client.get(path, headers=key.headers)
        answer = problem(response, 403, "role-missing")
        assert answer.detail == "the route declares no role: no API key is allowed"
        challenge = response.headers["www-authenticate"]
        assert challenge == 'Bearer realm="oodguard", error="insufficient_scope"'


def test_declaration_on_route_or_router_is_enforced(secured: TestClient, issued: Issued) -> None:
    add_new_routes(app_of(secured))
    assert secured.get("/public").json() == "reached"
    # A role has precedence over PUBLIC.
    for path, role in (("/new/included", "metrics"), ("/both", "admin")):
        problem(secured.get(path), 401, "key-missing")
        for held, key in issued.items():
            status = secured.get(path, headers=key.headers).status_code
            assert status == (200 if held == role else 403)


@pytest.mark.parametrize("path", ["/nowhere", "/admin/nowhere", "/healthz\n"])
def test_unmatched_path_is_404_for_clients_with_a_key(
    secured: TestClient, issued: Issued, path: str
) -> None:
    quoted = path.replace("\n", "%0a")
    problem(secured.get(quoted), 401, "key-missing")
    answer = problem(secured.get(quoted, headers=issued["predict"].headers), 404, "not-found")
    assert answer.detail == f"GET {path}: no such route"
    assert denied(secured, issued, "role") == 0


@pytest.mark.parametrize("required", ROUTE_OF_ROLE)
@pytest.mark.parametrize("held", ROUTE_OF_ROLE)
def test_role_allows_its_own_routes_and_no_others(
    secured: TestClient, issued: Issued, required: str, held: str
) -> None:
    method, path = ROUTE_OF_ROLE[required]
    response = secured.request(method, path, headers=issued[held].headers)
    if held == required:
        assert response.status_code == 200
        return
    answer = problem(response, 403, "role-missing")
    assert answer.title == "Forbidden"
    assert answer.detail == f"key the-{held} has the role {held}, expected {required}"
    assert response.headers["www-authenticate"] == (
        f'Bearer realm="oodguard", error="insufficient_scope", scope="{required}"'
    )
    assert denied(secured, issued, "role") == 1


def test_role_predict_allows_every_predict_route(secured: TestClient, issued: Issued) -> None:
    for path in ("/predict", "/models/tiny/predict", "/models/tiny/versions/1/predict"):
        response = post(secured, encode(plain()), path=path, **issued["predict"].headers)
        assert [each.label for each in predictions(response)] == ["red"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *ROUTE_OF_ROLE.values(),
        ("POST", "/predict"),
        ("GET", "/predict"),
        ("POST", "/models/tiny/predict"),
        ("POST", "/models/unknown/predict"),
        ("POST", "/v2/models/tiny/infer"),
        ("GET", "/playground"),
        ("GET", "/admin/samples"),
        ("GET", "/.env"),
        ("GET", "/docs/none"),
        ("GET", "/docs/../metrics"),
        ("GET", "/healthz/"),
        ("GET", "/healthz%0a"),
        ("GET", "http://testserver//metrics"),
        ("GET", "/%6detrics"),
        ("OPTIONS", "/predict"),
        ("HEAD", "/metrics"),
    ],
)
def test_without_a_key_existing_and_missing_paths_get_equal_responses(
    secured: TestClient, issued: Issued, method: str, path: str
) -> None:
    response = secured.request(method, path, headers={"x-request-id": "same"})
    assert response.headers["www-authenticate"] == 'Bearer realm="oodguard"'
    # The Open Inference Protocol has its own format of errors.
    missing = "/v2/nowhere" if path.startswith("/v2") else "/nowhere"
    other = secured.request(method, missing, headers={"x-request-id": "same"})
    assert response.status_code == other.status_code == 401
    assert response.content == other.content
    assert response.headers == other.headers
    assert denied(secured, issued, "no-key") == 2


@pytest.mark.parametrize("path", sorted(PUBLIC_PATHS))
def test_public_paths_require_no_key(secured: TestClient, path: str) -> None:
    assert secured.get(path.format(file="app.js")).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        f"Bearer oodguard_the-predict_{'a' * 43}",
        f"Bearer {'oodguard_' * 2000}",
        "Bearer \xff\xfe\x80",
    ],
)
def test_invalid_key_is_unauthorized(secured: TestClient, sent: str) -> None:
    response = secured.get("/models", headers={b"authorization": sent.encode("latin-1")})
    slug = "key-missing" if not sent else "key-unknown"
    answer = problem(response, 401, slug)
    assert answer.title == "Unauthorized"
    assert "oodguard_" not in answer.detail
    assert ('error="invalid_token"' in response.headers["www-authenticate"]) == bool(sent)


def test_key_is_read_from_authorization_header_only(secured: TestClient, issued: Issued) -> None:
    token = issued["predict"].token
    assert secured.get("/models", headers={"AUTHORIZATION": f"bEARER {token}"}).status_code == 200
    for arguments in (
        {},
        {"params": {"key": token}},
        {"headers": {"x-api-key": token}},
        {"headers": {"cookie": f"authorization={token}"}},
        {"auth": ("user", token)},
    ):
        problem(secured.request("GET", "/models", **arguments), 401, "key-missing")


def test_two_authorization_headers_are_unauthorized(secured: TestClient, issued: Issued) -> None:
    twice = [("authorization", f"Bearer {issued['predict'].token}")] * 2
    answer = problem(secured.get("/models", headers=twice), 401, "key-unknown")
    assert answer.detail == "received 2 Authorization headers, expected 1"


def test_unknown_keys_are_counted_and_not_logged(
    secured: TestClient, issued: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    token = new_token("the-predict")
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            problem(secured.get("/models", headers=bearer(token)), 401, "key-unknown")
    assert denied(secured, issued, "unknown-key") == 3
    assert token not in caplog.text


def test_key_id_is_in_the_access_log_and_in_no_metric(
    secured: TestClient, issued: Issued, access_log: AccessLog
) -> None:
    secured.get("/models", headers=issued["predict"].headers)
    secured.get("/models")
    assert [line.get("key") for line in access_log()] == ["the-predict", None]
    assert "the-" not in secured.get("/metrics", headers=issued["metrics"].headers).text


def send_scope(client: TestClient, scope: dict[str, Any]) -> list[Any]:
    """Return what the app sends for a scope; reading from the client fails."""
    sent: list[Any] = []

    async def receive() -> Any:
        pytest.fail("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    assert client.portal is not None
    client.portal.call(client.app, scope, receive, send)
    return sent


def test_unauthorized_request_body_is_not_read(secured: TestClient) -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png"), (b"content-length", b"1000000")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    assert send_scope(secured, scope)[0]["status"] == 401


def test_websocket_is_closed(secured: TestClient) -> None:
    scope = {"type": "websocket", "path": "/predict", "headers": []}
    assert send_scope(secured, scope) == [{"type": "websocket.close", "code": 1008}]


def test_without_keys_authentication_is_disabled_and_logged(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "oodguard.keys"):
        client = make_client()
    assert client.get("/models").status_code == 200
    assert client.get("/metrics").status_code == 200
    (record,) = caplog.records
    assert record.getMessage() == "Authentication is disabled: no API keys are configured."
