"""Boards and rules use only existing series, and every metric is on a board."""

import re
from collections.abc import Mapping

import pytest
from fastapi import FastAPI
from prometheus_client.metrics_core import Metric

from tests.deploy.board_files import (
    BOARDS,
    interpolate,
    other_expressions,
    panel_expressions,
    panels,
)
from tests.deploy.promql import KnownSeries, Labels, UnknownSeries, labels, metrics
from tests.deploy.rules import ALERTS, RECORDED, with_recorded

KNOWN = {
    "requests_total": frozenset({"job", "route", "code"}),
    "seconds_bucket": frozenset({"job", "le"}),
    "limit": frozenset({"job"}),
}


def test_exposed_series_have_the_documented_labels(
    families: Mapping[str, Metric], documented_labels: Mapping[str, Labels]
) -> None:
    for name, family in families.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == documented_labels[name], sample


def test_every_metric_is_on_a_board(families: Mapping[str, Metric]) -> None:
    used = {
        series.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        for board in BOARDS.values()
        for _, expression in panel_expressions(board)
        for series in _expanded(expression)
    }
    assert families.keys() - used == set()


@pytest.mark.parametrize("board", BOARDS)
def test_board_uses_only_existing_metrics_and_labels(board: str, known: KnownSeries) -> None:
    expressions = [*panel_expressions(BOARDS[board]), *other_expressions(BOARDS[board])]
    assert expressions
    for title, expression in expressions:
        try:
            labels(expression, known)
        except UnknownSeries as error:
            pytest.fail(f"{title}: {error}")


def test_rules_use_only_existing_metrics_and_labels(exposed: KnownSeries) -> None:
    assert "ALERTS" in with_recorded(exposed)


@pytest.mark.parametrize("board", BOARDS)
def test_legend_names_only_labels_of_its_series(board: str, known: KnownSeries) -> None:
    for panel in panels(BOARDS[board]):
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            assert named <= labels(interpolate(target["expr"]), known), panel["title"]


def test_route_pattern_of_rules_and_boards_matches_every_prediction_route(app: FastAPI) -> None:
    [pattern] = {
        each for text in _all_expressions() for each in re.findall(r'route=~"([^"]+)"', text)
    }
    routes = [path for path, methods in app.openapi()["paths"].items() if "post" in methods]
    assert routes
    # The playground's own requests are no predictions.
    assert {path for path in routes if not re.fullmatch(pattern, path)} == {
        "/models/{name}/versions/{version}/inspect"
    }


def test_every_recorded_series_is_used() -> None:
    used = set().union(*(metrics(expression) for expression in _all_expressions()))
    assert {rule["record"] for rule in RECORDED} <= used


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum by (code) (rate(requests_total[5m]))", {"code"}),
        ("histogram_quantile(0.9, sum by (job, le) (rate(seconds_bucket[5m])))", {"job"}),
        ("sum by (job, code) (requests_total) / on (job) group_left () limit", {"job", "code"}),
        ('label_replace(vector(0), "code", "none", "", "")', {"code"}),
        ("topk(3, requests_total) > 5", {"job", "route", "code"}),
        ('absent(requests_total{job="a",route=~"b"})', {"job"}),
    ],
)
def test_promql_labels_of_an_expression(expression: str, expected: set[str]) -> None:
    assert labels(expression, KNOWN) == expected


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
def test_promql_labels_reject_unknown_names_and_unequal_joins(expression: str) -> None:
    with pytest.raises(UnknownSeries):
        labels(expression, KNOWN)


def _all_expressions() -> list[str]:
    expressions: list[str] = [rule["expr"] for rule in [*RECORDED, *ALERTS.values()]]
    return expressions + [text for board in BOARDS.values() for _, text in panel_expressions(board)]


def _expanded(expression: str) -> set[str]:
    """Return the metrics of an expression and of the recorded series that it uses."""
    used = metrics(expression)
    recorded = {rule["record"]: rule["expr"] for rule in RECORDED}
    return used.union(*(_expanded(recorded[name]) for name in used if name in recorded))
