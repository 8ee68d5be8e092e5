import pytest

from benchmarks.serving.audit import by_label, growth, parse, total, unexplained

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
# HELP oodguard_decisions_total Decisions.
# TYPE oodguard_decisions_total counter
oodguard_decisions_total{model="a",decision="accept"} 10.0
oodguard_decisions_total{model="a",decision="reject"} 1.0
oodguard_decisions_total{model="b",decision="accept"} 100.0
"""


def test_audit_sums_samples_over_the_other_labels() -> None:
    samples = parse(AFTER)
    assert total(samples, "oodguard_decisions_total") == 111
    assert total(samples, "oodguard_decisions_total", model="a") == 11
    assert total(samples, "oodguard_decisions_total", model="a", decision="reject") == 1
    assert total(samples, "oodguard_absent_total") == 0
    decisions = by_label(samples, "oodguard_decisions_total", "decision", model="a")
    assert decisions == {"accept": 10, "reject": 1}


def test_audit_growth_counts_requests_to_predict_by_status() -> None:
    assert growth(parse(BEFORE), parse(AFTER)) == {200: 7, 429: 3}


@pytest.mark.parametrize(
    ("extra", "unread", "expected"),
    [
        ([0, 0], 0, 0),
        ([1, -1], 0, 2),  # one was counted under another status
        ([3, 0], 4, 0),  # the service answered requests whose response was not read
        ([3, 2], 4, 1),
        ([-1, 0], 4, 1),  # a response that a client has read was sent
    ],
)
def test_audit_explains_surplus_by_unread_responses_only(
    extra: list[float], unread: int, expected: float
) -> None:
    assert unexplained(extra, unread) == expected
