"""Every metric is on a board, and no board or rule asks for what does not exist."""

import re
from collections.abc import Mapping

import pytest
from fastapi import FastAPI
from prometheus_client.metrics_core import Metric

from tests.deploy.exposition import documented_labels, series_of
from tests.deploy.promql import Known, WrongQuestion, labels, metrics
from tests.deploy.rules import ALERTS, RECORDED, with_recorded
from tests.deploy.shown import BOARDS, filled_in, other_expressions, panel_expressions, panels

KNOWN = {
    "requests_total": frozenset({"job", "route", "code"}),
    "seconds_bucket": frozenset({"job", "le"}),
    "limit": frozenset({"job"}),
}


def test_every_series_comes_with_the_labels_that_are_documented(
    families: Mapping[str, Metric],
) -> None:
    documented = documented_labels()
    for name, family in families.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == documented[name], sample


def test_every_metric_is_shown_on_some_board(families: Mapping[str, Metric]) -> None:
    asked = {
        metric
        for board in BOARDS.values()
        for _, expression in panel_expressions(board)
        for metric in _unfolded(expression)
    }
    hidden = [
        name for name, family in families.items() if not asked & set(series_of(family, frozenset()))
    ]
    assert not hidden


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_asks_only_for_metrics_and_labels_that_exist(board: str, known: Known) -> None:
    asked = [*panel_expressions(BOARDS[board]), *other_expressions(BOARDS[board])]
    assert asked
    for title, expression in asked:
        try:
            labels(expression, known)
        except WrongQuestion as error:
            pytest.fail(f"{title}: {error}")


def test_rules_ask_only_for_metrics_and_labels_that_exist(exposed: Known) -> None:
    assert "ALERTS" in with_recorded(exposed)


@pytest.mark.parametrize("board", BOARDS)
def test_a_legend_names_only_labels_that_its_series_have(board: str, known: Known) -> None:
    for panel in panels(BOARDS[board]):
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            assert named <= labels(filled_in(target["expr"]), known), panel["title"]


def test_what_counts_as_judging_is_every_route_that_takes_images(app: FastAPI) -> None:
    questions = [rule["expr"] for rule in [*RECORDED, *ALERTS.values()]]
    questions += [text for board in BOARDS.values() for _, text in panel_expressions(board)]
    patterns = {each for text in questions for each in re.findall(r'route=~"([^"]+)"', text)}
    [judging] = patterns
    taking = [path for path, methods in app.openapi()["paths"].items() if "post" in methods]
    assert taking
    assert all(re.fullmatch(judging, path) for path in taking), taking


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum by (code) (rate(requests_total[5m]))", {"code"}),
        ("histogram_quantile(0.9, sum by (job, le) (rate(seconds_bucket[5m])))", {"job"}),
        ("sum by (job, code) (requests_total) / on (job) group_left () limit", {"job", "code"}),
        ('label_replace(vector(0), "code", "none", "", "")', {"code"}),
        ("topk(3, requests_total) > 5", {"job", "route", "code"}),
        ('absent(requests_total{job="a",route=~"b"})', {"job"}),
    ],
)
def test_labels_of_an_expression_follow_from_those_of_its_metrics(
    expression: str, found: set[str]
) -> None:
    assert labels(expression, KNOWN) == found


@pytest.mark.parametrize(
    "expression",
    [
        "rate(request_total[5m])",
        'requests_total{status="200"}',
        "sum by (model) (requests_total)",
        "sum by (job, code) (requests_total) / sum by (job) (requests_total)",
        "sum by (job) (requests_total) * on (code) limit",
        "histogram_quantile(0.9, sum by (job) (rate(seconds_bucket[5m])))",
    ],
)
def test_questions_that_have_no_answer_are_found(expression: str) -> None:
    with pytest.raises(WrongQuestion):
        labels(expression, KNOWN)


def _unfolded(expression: str) -> set[str]:
    """What an expression asks for, and what is recorded of under those names."""
    asked = metrics(expression)
    recorded = {rule["record"]: rule["expr"] for rule in RECORDED}
    return asked.union(*(_unfolded(recorded[name]) for name in asked if name in recorded))


def test_every_recorded_series_is_asked_for() -> None:
    questions = [rule["expr"] for rule in [*RECORDED, *ALERTS.values()]]
    questions += [text for board in BOARDS.values() for _, text in panel_expressions(board)]
    asked = set().union(*(metrics(question) for question in questions))
    assert {rule["record"] for rule in RECORDED} <= asked
