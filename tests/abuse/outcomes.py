"""Classify a response by the documentation of the HTTP interface."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from oodguard.service.api.schemas import PredictResponse, Problem
from tests.abuse.case import OK, PLAIN_400, SILENCE, Case
from tests.abuse.exchange import Response

DOCS = Path(__file__).parents[2] / "docs" / "http-api.md"


def documented() -> Mapping[str, int]:
    """Return the slug of every documented problem and its status."""
    sections = re.findall(r"^### ([a-z-]+)\n\n(\d{3})\.", DOCS.read_text(encoding="utf-8"), re.M)
    return {slug: int(status) for slug, status in sections}


def outcomes(case: Case, responses: list[Response], problems: Mapping[str, int]) -> set[str]:
    """Return the outcome of every response to a case.

    Args:
        case: The case.
        responses: Its responses.
        problems: The documented problems.

    Returns:
        `ok`, the slug of a problem, `plain-400`, `silence`, `head-` and a status, or `v2-` and a
        status for an error of the Open Inference Protocol, which has its own format.

    Raises:
        AssertionError: A response has an undocumented format.
    """
    return {_outcome(case, response, problems) for response in responses} or {SILENCE}


def _outcome(case: Case, response: Response, problems: Mapping[str, int]) -> str:
    assert response.status < 600, response
    if response.status == 400 and response.headers["content-type"].startswith("text/plain"):
        assert response.body == b"Invalid HTTP request received."
        return PLAIN_400
    # Every request that reached the service has an id.
    assert response.headers["x-request-id"], response
    if case.method == "HEAD":
        return f"head-{response.status}"
    if response.status == 200:
        if b'"predictions"' in response.body:
            PredictResponse.model_validate_json(response.body)
        return OK
    if case.sent.split(b" ", 2)[1].startswith(b"/v2"):
        return _protocol_error(response)
    return _slug(response, problems)


def _protocol_error(response: Response) -> str:
    assert response.headers["content-type"] == "application/json", response
    content = json.loads(response.body)
    assert set(content) == {"error"}, response
    assert response.headers["x-request-id"] in content["error"], response
    return f"v2-{response.status}"


def _slug(response: Response, problems: Mapping[str, int]) -> str:
    assert response.headers["content-type"] == "application/problem+json", response
    problem = Problem.model_validate_json(response.body)
    slug = problem.type.removeprefix("/problems/")
    assert slug in problems, f"{problem} has an undocumented type"
    assert problem.status == response.status == problems[slug], problem
    assert problem.request_id == response.headers["x-request-id"]
    return slug
