"""Review lists: what a row proposes, and texts that a spreadsheet must not read as formulas."""

from pathlib import Path

import orjson
import pytest

from oodguard.service.sampling.review import review_row
from oodguard.service.sampling.stored import Record
from tests.service.sampling.records import record


def row(content: object) -> dict[str, object]:
    return review_row(Path("images/a.png"), Record.model_validate_json(orjson.dumps(content)))


@pytest.mark.parametrize(
    ("decision", "policy", "expected"),
    [
        ("accept", {"alpha": 0.05}, "yes"),
        ("reject", {"alpha": 0.05}, ""),
        # The client chose the rate, and could have its outliers proposed for the calibration.
        ("accept", {"alpha": 0.05, "fdr": 0.001}, ""),
    ],
)
def test_review_row_keeps_images_that_the_policy_accepted(
    decision: str, policy: dict[str, float], expected: str
) -> None:
    assert row({**record(0, decision=decision), "policy": policy})["keep"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat", "cat"),
        ("cat-dog, x=y", "cat-dog, x=y"),
        ("=1+1", "'=1+1"),
        (" @SUM(1)", " '@SUM(1)"),
        ("\uff1d1", "'\uff1d1"),
        ("a;-1", "a;'-1"),
        ("a\n\t+1", "a\n\t'+1"),
    ],
)
def test_review_row_has_no_formulas(text: str, expected: str) -> None:
    content = record(0, label=text) | {"request_id": text, "model": {"name": text, "version": "1"}}
    found = row(content)
    assert (found["predicted"], found["request"]) == (expected, expected)
    assert found["model"] == f"{expected}@1"
