from dataclasses import replace

import numpy as np
import pytest

from oodguard.training.report.advice import advice, excess, limit_rejecting, trades
from oodguard.training.report.metrics import false_rejection_rate
from tests.training.report.example import EVIDENCE, REPORT

INLIERS = np.arange(100, dtype=np.float32)


def test_advice_names_the_weakest_set_and_budget() -> None:
    found = advice(REPORT, EVIDENCE)
    assert (found.most_missed, found.least_missed) == ("near", "far")
    assert found.at_chance
    assert found.at_chance.epsilon_255 == 2  # a mean AUROC of .375
    # A fifth of four images is none: the threshold is the highest inlier, .5. Of near and far
    # together 2 of 8 are at or below it clean, and 4 + 2 attacked.
    last = found.trades[-1]
    assert (last.rejected, last.missed, last.missed_attacked) == (0, 0.25, 0.75)


def test_advice_without_an_attack_has_no_budget() -> None:
    (result,) = REPORT.results
    results = (result.model_copy(update={"conditions": result.conditions[:1]}),)
    clean = REPORT.model_copy(update={"results": results})
    found = advice(clean, replace(EVIDENCE, conditions=EVIDENCE.conditions[:1]))
    assert found.at_chance is None
    assert {trade.missed_attacked for trade in found.trades} == {None}


@pytest.mark.parametrize(
    ("images", "rejected", "expected"),
    [
        (100, 0.05, "none"),
        # Two standard deviations of 5 % of 100 images are 4.3 points, of 10,000 images .43.
        (100, 0.09, "sampling error"),
        (100, 0.1, "significant"),
        (10_000, 0.06, "significant"),
    ],
)
def test_excess_of_false_rejections_allows_for_the_sampling_error(
    images: int, rejected: float, expected: str
) -> None:
    assert excess(rejected, 0.05, images) == expected


@pytest.mark.parametrize(("fraction", "limit"), [(0.01, 98), (0.05, 94), (0.2, 79), (0.001, 99)])
def test_limit_rejects_the_fraction_and_no_more(fraction: float, limit: float) -> None:
    assert limit_rejecting(INLIERS, fraction) == limit


def test_limit_accepts_ties() -> None:
    inliers = np.array([0, 1, 1, 1], np.float32)
    assert false_rejection_rate(inliers, limit_rejecting(inliers, 0.25)) == 0


def test_trades_average_the_missed_fractions_over_the_sets() -> None:
    clean = {"a": np.array([90.0, 99.0], np.float32), "b": np.array([99.0, 100.0], np.float32)}
    attacked = {"a": np.array([0.0, 0.0], np.float32), "b": np.array([0.0, 96.0], np.float32)}
    first, second, third, *_ = trades(INLIERS, clean, attacked)
    assert (first.rejected, first.missed, first.missed_attacked) == (0.01, 0.25, 1.0)  # above 98
    assert (second.rejected, second.missed, second.missed_attacked) == (0.02, 0.25, 1.0)  # 97
    assert (third.rejected, third.missed, third.missed_attacked) == (0.05, 0.25, 0.75)  # 94
