"""Who shows a key with the wanted role is let in, and nobody else learns anything."""

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from oodguard.service.auth.keys import new_token
from oodguard.service.auth.middleware import OPEN, required_role
from tests.service.checks import predictions, problem
from tests.service.pictures import encode, plain
from tests.service.security.holders import Holder, bearer

PNG = {"content-type": "image/png"}
Holders = dict[str, Holder]

ASKED = {
    "predict": ("GET", "/models"),
    "metrics": ("GET", "/metrics"),
    "admin": ("POST", "/admin/models/reload"),
}


def denied(client: TestClient, holders: Holders, reason: str) -> float:
    text = client.get("/metrics", headers=holders["metrics"].headers).text
    (said,) = re.findall(rf'^oodguard_denied_total{{reason="{reason}"}} (\S+)$', text, re.M)
    return float(said)


@pytest.mark.parametrize("wanted", ASKED)
@pytest.mark.parametrize("had", ASKED)
def test_a_role_opens_its_own_paths_and_no_others(
    guarded: TestClient, holders: Holders, wanted: str, had: str
) -> None:
    method, path = ASKED[wanted]
    response = guarded.request(method, path, headers=holders[had].headers)
    if had == wanted:
        assert response.status_code == 200
        return
    detail = problem(response, 403, "role-missing").detail
    assert detail == f"key the-{had} has the role {had}; {wanted} is wanted"
    assert response.headers["www-authenticate"] == (
        f'Bearer realm="oodguard", error="insufficient_scope", scope="{wanted}"'
    )
    assert denied(guarded, holders, "role") == 1


def test_images_are_judged_for_who_may_have_them_judged(
    guarded: TestClient, holders: Holders
) -> None:
    headers = {**PNG, **holders["predict"].headers}
    for path in ("/predict", "/models/tiny/predict", "/models/tiny/versions/1/predict"):
        response = guarded.post(path, content=encode(plain()), headers=headers)
        assert [each.label for each in predictions(response)] == ["red"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *ASKED.values(),
        ("POST", "/predict"),
        ("GET", "/predict"),
        ("POST", "/models/tiny/predict"),
        ("POST", "/models/nobody/predict"),
        ("POST", "/v2/models/tiny/infer"),
        ("GET", "/"),
        ("GET", "/.env"),
        ("GET", "/docs/none"),
        ("GET", "/docs/../metrics"),
        ("GET", "/healthz/"),
        ("GET", "//metrics"),
        ("GET", "/%6detrics"),
        ("OPTIONS", "/predict"),
        ("HEAD", "/metrics"),
    ],
)
def test_without_a_key_every_path_looks_the_same(
    guarded: TestClient, holders: Holders, method: str, path: str
) -> None:
    response = guarded.request(method, path, headers={"x-request-id": "same"})
    assert response.headers["www-authenticate"] == 'Bearer realm="oodguard"'
    # Each of the two protocols has a shape of its own for what it refuses.
    nowhere = "/v2/nowhere" if path.startswith("/v2") else "/nowhere"
    elsewhere = guarded.request(method, nowhere, headers={"x-request-id": "same"})
    assert response.status_code == elsewhere.status_code == 401
    assert response.content == elsewhere.content
    assert response.headers == elsewhere.headers
    assert denied(guarded, holders, "no-key") == 2


@pytest.mark.parametrize("path", sorted(OPEN))
def test_health_and_the_description_want_no_key(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_every_route_of_the_service_is_open_on_purpose_or_wants_a_role(
    guarded: TestClient,
) -> None:
    app: Any = guarded.app
    assert isinstance(app, FastAPI)
    paths = set(app.openapi()["paths"]) | {"/docs", "/openapi.json"}
    assert {"/predict", "/models", "/metrics", "/admin/models/reload", "/readyz"} <= paths
    for path in paths:
        assert path in OPEN or required_role(path) is not None, path


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        f"Bearer oodguard_the-predict_{'a' * 43}",
        f"Bearer {'oodguard_' * 2000}",
    ],
)
def test_what_is_no_key_in_force_is_401(guarded: TestClient, shown: str) -> None:
    response = guarded.get("/models", headers={"authorization": shown})
    slug = "key-missing" if not shown else "key-unknown"
    detail = problem(response, 401, slug).detail
    assert "oodguard_" not in detail
    assert ('error="invalid_token"' in response.headers["www-authenticate"]) == bool(shown)


def test_no_key_and_another_scheme_than_bearer_are_told_what_is_wanted(guarded: TestClient) -> None:
    problem(guarded.get("/models"), 401, "key-missing")
    problem(guarded.get("/models", auth=("user", "password")), 401, "key-missing")


def test_a_key_is_taken_from_a_header_of_any_case_and_from_nowhere_else(
    guarded: TestClient, holders: Holders
) -> None:
    token = holders["predict"].token
    assert guarded.get("/models", headers={"AUTHORIZATION": f"bEARER {token}"}).status_code == 200
    problem(guarded.get("/models", params={"key": token}), 401, "key-missing")
    problem(guarded.get("/models", headers={"x-api-key": token}), 401, "key-missing")
    problem(
        guarded.get("/models", headers={"cookie": f"authorization={token}"}), 401, "key-missing"
    )


def test_two_keys_at_once_are_none(guarded: TestClient, holders: Holders) -> None:
    twice = [("authorization", f"Bearer {holders['predict'].token}")] * 2
    answer = problem(guarded.get("/models", headers=twice), 401, "key-unknown")
    assert answer.detail == "2 Authorization headers came; one is wanted"


def test_bytes_that_are_no_text_are_no_key(guarded: TestClient) -> None:
    headers = {b"authorization": b"Bearer \xff\xfe\x80"}
    problem(guarded.get("/models", headers=headers), 401, "key-unknown")


def test_wrong_keys_are_counted_and_do_not_appear_in_the_log(
    guarded: TestClient, holders: Holders, caplog: pytest.LogCaptureFixture
) -> None:
    token = new_token("the-predict")
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            problem(guarded.get("/models", headers=bearer(token)), 401, "key-unknown")
    assert denied(guarded, holders, "unknown-key") == 3
    assert token not in caplog.text


def test_the_id_of_a_key_is_in_the_access_line_and_in_no_metric(
    guarded: TestClient, holders: Holders, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "oodguard.access"):
        guarded.get("/models", headers=holders["predict"].headers)
        guarded.get("/models")
    lines = [
        record.__dict__["fields"] for record in caplog.records if record.name == "oodguard.access"
    ]
    assert [line.get("key") for line in lines] == ["the-predict", None]
    assert "the-" not in guarded.get("/metrics", headers=holders["metrics"].headers).text


def test_a_body_is_not_read_of_who_is_not_let_in(guarded: TestClient) -> None:
    async def ask() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            pytest.fail("the body was read")

        async def send(message: Any) -> None:
            sent.append(message)

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
        await guarded.app(scope, receive, send)
        return sent

    assert guarded.portal is not None
    assert guarded.portal.call(ask)[0]["status"] == 401


def test_without_keys_nobody_is_asked_for_one_and_the_log_says_so(
    make_client: Callable[..., TestClient], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "oodguard.keys"):
        client = make_client()
    assert client.get("/models").status_code == 200
    assert client.get("/metrics").status_code == 200
    (record,) = caplog.records
    assert record.getMessage().startswith("no keys are set")
