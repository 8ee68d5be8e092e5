"""Browsers are told to make nothing of answers, and pages of other origins are kept away."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from oodguard.service.api.middleware import HEADERS
from oodguard.service.inference.session import ModelSession
from oodguard.service.settings import Settings
from tests.service.checks import problem
from tests.service.conftest import MakeClient
from tests.service.pictures import encode, plain
from tests.service.security.holders import Holder

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


def test_every_kind_of_answer_has_the_headers(
    guarded: TestClient, holders: dict[str, Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {**PNG, **holders["predict"].headers}

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    answers = [
        guarded.post("/predict", content=encode(plain()), headers=headers),
        guarded.post("/predict", content=b"no image", headers=headers),
        guarded.get("/predict", headers=headers),
        guarded.get("/nowhere", headers=headers),
        guarded.get("/predict"),
        guarded.get("/metrics", headers=headers),
        guarded.get("/healthz"),
        guarded.get("/openapi.json"),
    ]
    monkeypatch.setattr(ModelSession, "_run", broken)
    answers.append(guarded.post("/predict", content=encode(plain()), headers=headers))
    assert [each.status_code for each in answers] == [200, 400, 405, 404, 401, 403, 200, 200, 500]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value]


def test_what_a_route_says_itself_stands(client: TestClient) -> None:
    policies = client.get("/docs").headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert "script" not in policies[0]
    assert policies[0].startswith("default-src 'self'")


def test_pages_of_other_origins_are_allowed_nothing_by_default(client: TestClient) -> None:
    answer = client.get("/healthz", headers={"origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert preflight(client, PAGE)["status"] == "405"


def test_a_named_origin_may_ask_with_a_key_and_read_the_answer_also_when_refused(
    make_guarded: Callable[..., TestClient], holders: dict[str, Holder]
) -> None:
    client = make_guarded(cors_origins=f"{PAGE}, http://localhost:3000")
    for origin in (PAGE, "http://localhost:3000"):
        allowed = preflight(client, origin)
        assert allowed["status"] == "200"
        assert allowed["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in allowed
        for headers in (holders["predict"].headers, {}):
            answer = client.get("/models", headers={"origin": origin, **headers})
            assert answer.headers["access-control-allow-origin"] == origin
            assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_an_origin_that_is_not_named_is_refused_whatever_the_path(
    make_guarded: Callable[..., TestClient],
) -> None:
    client = make_guarded(cors_origins=PAGE)
    for path in ("/predict", "/nowhere"):
        refused = preflight(client, "https://evil.example", path)
        assert refused["status"] == "400"
        assert "access-control-allow-origin" not in refused
    response = client.get("/models", headers={"origin": "https://evil.example"})
    problem(response, 401, "key-missing")
    assert "access-control-allow-origin" not in response.headers


def test_any_origin_may_be_allowed(make_client: MakeClient) -> None:
    client = make_client(cors_origins="*")
    answer = client.get("/healthz", headers={"origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "origins",
    ["shop.example", "https://shop.example/", "https://a.example,", "*, https://a.example", "null"],
)
def test_what_is_no_origin_is_refused_at_start(origins: str) -> None:
    with pytest.raises(ValidationError):
        Settings(cors_origins=origins)
