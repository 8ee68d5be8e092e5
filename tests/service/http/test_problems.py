"""Every error reaches the client as a documented problem."""

import logging

import pytest
from starlette.testclient import TestClient

from oodguard.models.errors import GuardError
from oodguard.service import errors
from oodguard.service.api.problems import FRAMEWORK, INTERNAL, KINDS
from oodguard.service.inference.session import ModelSession
from tests.service.checks import DOCS, problem, still_serves
from tests.service.pictures import encode, plain


def test_an_unknown_path_is_a_problem(client: TestClient) -> None:
    assert problem(client.get("/admin.php"), 404, "not-found").detail.startswith("GET /admin.php")


def test_a_wrong_method_is_a_problem_that_names_the_right_one(client: TestClient) -> None:
    response = client.get("/predict")
    assert "POST is wanted" in problem(response, 405, "method-not-allowed").detail
    assert response.headers["allow"] == "POST"


def test_an_unforeseen_error_is_a_problem_without_its_inside_and_its_log_line_has_the_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(ModelSession, "_run", broken)
    with caplog.at_level(logging.INFO, "oodguard.access"):
        response = client.post(
            "/predict",
            content=encode(plain()),
            headers={"content-type": "image/png", "x-request-id": "abc"},
        )
    answer = problem(response, 500, "internal-error")
    assert "secret" not in response.text
    assert answer.request_id == "abc"
    (line,) = [record for record in caplog.records if record.name == "oodguard.access"]
    assert line.__dict__["fields"]["code"] == 500
    assert line.__dict__["fields"]["request_id"] == "abc"
    monkeypatch.undo()
    still_serves(client)


def test_every_error_of_a_request_has_a_kind_of_its_own() -> None:
    leaves = set(errors.RequestError.__subclasses__()) - {
        errors.InvalidImage,
        errors.ClientDisconnected,
    }
    assert leaves <= set(KINDS)
    slugs = [kind.slug for kind in (*KINDS.values(), *FRAMEWORK.values(), INTERNAL)]
    assert len(set(slugs)) == len(slugs)
    assert all(issubclass(error, GuardError) for error in KINDS)


def test_every_kind_of_problem_is_documented_with_its_status() -> None:
    text = (DOCS / "http-api.md").read_text(encoding="utf-8")
    for kind in (*KINDS.values(), *FRAMEWORK.values(), INTERNAL):
        assert f"### {kind.slug}\n\n{kind.status}. " in text
