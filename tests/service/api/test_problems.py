"""Every error is answered as a documented problem."""

import re

import pytest
from starlette.testclient import TestClient

from oodguard.models.errors import GuardError
from oodguard.service import errors
from oodguard.service.api.problem_types import ALL_TYPES, PROBLEM_TYPES
from oodguard.service.api.problems import title
from oodguard.service.inference.session import ModelSession
from tests.service.checks import DOCS, post, problem
from tests.service.conftest import AccessLog
from tests.service.pictures import encode, plain


def test_unknown_path_is_a_problem(client: TestClient) -> None:
    answer = problem(client.get("/admin.php"), 404, "not-found")
    assert answer.title == "Not found"
    assert answer.detail == "GET /admin.php: no such route"


def test_wrong_method_is_a_problem_with_the_allowed_method(client: TestClient) -> None:
    response = client.get("/predict")
    answer = problem(response, 405, "method-not-allowed")
    assert answer.detail == "GET /predict: method not allowed, expected POST"
    assert response.headers["allow"] == "POST"


def test_unexpected_error_is_a_problem_without_details_and_its_log_line_has_the_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, access_log: AccessLog
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    with monkeypatch.context() as patch:
        patch.setattr(ModelSession, "_run", broken)
        response = post(client, encode(plain()), **{"x-request-id": "abc"})
    assert problem(response, 500, "internal-error").request_id == "abc"
    assert "secret" not in response.text
    (line,) = access_log()
    assert (line["code"], line["request_id"]) == (500, "abc")


def test_every_request_error_has_its_own_problem_type() -> None:
    leaves = set(errors.RequestError.__subclasses__()) - {
        errors.InvalidImage,
        errors.ClientDisconnected,
    }
    assert leaves <= set(PROBLEM_TYPES)
    slugs = [problem_type.slug for problem_type in ALL_TYPES]
    assert len(set(slugs)) == len(slugs)
    assert all(issubclass(error, GuardError) for error in PROBLEM_TYPES)


def test_titles_in_the_documentation_are_those_of_problems() -> None:
    text = (DOCS / "http-api.md").read_text(encoding="utf-8")
    assert set(re.findall(r'"title": "(.+?)"', text)) <= {title(each.status) for each in ALL_TYPES}
