"""Counters and clients agree, or by how much they do not."""

import pytest

from benchmarks.serving.audit import growth, unexplained
from benchmarks.serving.exposition import by_label, parse, total

BEFORE = """\
# HELP oodguard_requests_total Requests answered.
# TYPE oodguard_requests_total counter
oodguard_requests_total{route="/predict",code="200"} 5.0
oodguard_requests_total{route="/metrics",code="200"} 2.0
"""
AFTER = """\
# HELP oodguard_requests_total Requests answered.
# TYPE oodguard_requests_total counter
oodguard_requests_total{route="/predict",code="200"} 12.0
oodguard_requests_total{route="/predict",code="429"} 3.0
oodguard_requests_total{route="/metrics",code="200"} 4.0
# HELP oodguard_decisions_total Images judged.
# TYPE oodguard_decisions_total counter
oodguard_decisions_total{model="a",decision="accept"} 10.0
oodguard_decisions_total{model="a",decision="reject"} 1.0
oodguard_decisions_total{model="b",decision="accept"} 100.0
"""


def test_samples_are_summed_over_the_labels_that_are_not_asked_for() -> None:
    samples = parse(AFTER)
    assert total(samples, "oodguard_decisions_total") == 111
    assert total(samples, "oodguard_decisions_total", model="a") == 11
    assert total(samples, "oodguard_decisions_total", model="a", decision="reject") == 1
    assert total(samples, "oodguard_absent_total") == 0
    assert by_label(samples, "oodguard_decisions_total", "decision", model="a") == {
        "accept": 10,
        "reject": 1,
    }


def test_growth_is_of_the_route_that_is_asked() -> None:
    assert growth(parse(BEFORE), parse(AFTER)) == {200: 7, 429: 3}


@pytest.mark.parametrize(
    ("extra", "unread", "expected"),
    [
        ([0, 0], 0, 0),
        ([1, -1], 0, 2),  # one was counted under another status
        ([3, 0], 4, 0),  # the service answered what nobody read
        ([3, 2], 4, 1),
        ([-1, 0], 4, 1),  # what a client has read was answered
    ],
)
def test_only_what_nobody_read_may_be_counted_by_the_service_alone(
    extra: list[float], unread: int, expected: float
) -> None:
    assert unexplained(extra, unread) == expected
