"""The boards' expressions have values in the running Prometheus after real traffic."""

from functools import partial

import pytest

from benchmarks.shipped import PRETRAINED
from oodguard.models.bundle import open_bundle
from tests.deploy.board_files import BOARDS, other_expressions, panel_expressions
from tests.deploy.compose import queries, traffic
from tests.deploy.compose.docker import wait_for
from tests.deploy.compose.stack import BUNDLE, Stack

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

EXPRESSIONS = [
    pytest.param(expression, id=f"{name}: {title} ({number})")
    for name, board in BOARDS.items()
    for number, (title, expression) in enumerate(panel_expressions(board))
]
NEXT_VERSION = "2"


@pytest.fixture(scope="module")
def used(stack: Stack) -> Stack:
    """The stack after images of every kind, some of them rejected, and a new version."""
    stack.up()
    # All of them, also where a busy machine sends fewer than 20 per second.
    decisions = {traffic.decide(stack, image) for image in traffic.MIXED}
    assert decisions == {"accept", "reject"}
    list(traffic.send_steadily(stack, traffic.MIXED, per_second=20, for_s=15))
    stack.replace_bundle(version=NEXT_VERSION)
    info = f'oodguard_bundle_info{{version="{NEXT_VERSION}"}}'
    wait_for(lambda: queries.query(stack, info) == [1.0], "the new version", within_s=30)
    list(traffic.send_steadily(stack, traffic.MIXED, per_second=20, for_s=12))
    # Recording rules are evaluated every 15 s, those of distributions every minute.
    recorded = (f'oodguard:rejected:ratio30m{{version="{NEXT_VERSION}"}}', "oodguard:score:cdf1h")
    for each in recorded:
        wait_for(partial(queries.query, stack, each), each, within_s=75)
    return stack


def test_every_target_is_up(used: Stack) -> None:
    assert queries.targets(used) == {"oodguard": "up", "prometheus": "up", "alertmanager": "up"}


def test_every_rule_can_be_evaluated(used: Stack) -> None:
    assert queries.failed_rules(used) == []


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_panel_has_finite_series(used: Stack, expression: str) -> None:
    series = queries.query_range(used, expression, window_s=10)
    assert series
    assert queries.count_non_finite(series) == 0


@pytest.mark.parametrize("board", BOARDS)
def test_reload_annotation_has_its_outcome_and_the_new_version(used: Stack, board: str) -> None:
    annotations = dict(other_expressions(BOARDS[board]))
    assert annotation_labels(used, annotations["Bundle or policy reloaded"]) == [
        {"model": BUNDLE, "outcome": "loaded"}
    ]
    served = {"model": BUNDLE, "version": NEXT_VERSION, "provider": "CPUExecutionProvider"}
    assert served in annotation_labels(used, annotations["Bundle served"])


@pytest.mark.parametrize("board", BOARDS)
def test_board_variables_list_present_and_previous_versions(used: Stack, board: str) -> None:
    variables = dict(other_expressions(BOARDS[board]))
    models = queries.query_range(used, variables["model"], window_s=60)
    versions = queries.query_range(used, variables["version"], window_s=60)
    assert {each["metric"]["model"] for each in models} == {BUNDLE}
    shipped = open_bundle(PRETRAINED / BUNDLE).manifest.version
    assert {each["metric"]["version"] for each in versions} == {shipped, NEXT_VERSION}


def annotation_labels(stack: Stack, expression: str) -> list[dict[str, str]]:
    """Return the labels of the annotations of the last minutes."""
    series = queries.query_range(stack, expression, window_s=180)
    assert queries.count_non_finite(series) == 0
    return [each["metric"] for each in series]
