"""What an answer is, in one word, by the documentation of the HTTP interface."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from oodguard.service.api.schemas import PredictAnswer, Problem
from tests.abuse.hostile import OK, PLAIN_400, SILENCE, Case
from tests.abuse.wire import Answer

DOCS = Path(__file__).parents[2] / "docs" / "http-api.md"


def documented() -> Mapping[str, int]:
    """The slug of every documented problem, and its status."""
    sections = re.findall(r"^### ([a-z-]+)\n\n(\d{3})\.", DOCS.read_text(encoding="utf-8"), re.M)
    return {slug: int(status) for slug, status in sections}


def outcomes(case: Case, answers: list[Answer], problems: Mapping[str, int]) -> set[str]:
    """Name every answer to a case.

    Args:
        case: What was sent.
        answers: What came.
        problems: The documented problems.

    Returns:
        `ok`, the slug of a problem, `plain-400`, `silence`, `head-` and a status, or `v2-` and a
        status where the Open Inference Protocol is spoken, whose errors have a shape of their own.

    Raises:
        AssertionError: An answer is of no documented shape.
    """
    return {_outcome(case, answer, problems) for answer in answers} or {SILENCE}


def _outcome(case: Case, answer: Answer, problems: Mapping[str, int]) -> str:
    assert answer.status < 600, answer
    if answer.status == 400 and answer.headers["content-type"].startswith("text/plain"):
        assert answer.body == b"Invalid HTTP request received."
        return PLAIN_400
    # Whatever reached the service has an id.
    assert answer.headers["x-request-id"], answer
    if case.method == "HEAD":
        return f"head-{answer.status}"
    if answer.status == 200:
        if b'"predictions"' in answer.body:
            PredictAnswer.model_validate_json(answer.body)
        return OK
    if case.sent.split(b" ", 2)[1].startswith(b"/v2"):
        return _protocol_error(answer)
    return _slug(answer, problems)


def _protocol_error(answer: Answer) -> str:
    assert answer.headers["content-type"] == "application/json", answer
    said = json.loads(answer.body)
    assert set(said) == {"error"}, answer
    assert answer.headers["x-request-id"] in said["error"], answer
    return f"v2-{answer.status}"


def _slug(answer: Answer, problems: Mapping[str, int]) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer
    problem = Problem.model_validate_json(answer.body)
    slug = problem.type.removeprefix("/problems/")
    assert slug in problems, f"{problem} is of no documented type"
    assert problem.status == answer.status == problems[slug], problem
    assert problem.request_id == answer.headers["x-request-id"]
    return slug
