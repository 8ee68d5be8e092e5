import numpy as np
import pytest

from oodguard.training.report.metrics import false_rejection_rate
from oodguard.training.report.page import limit_rejecting, trades

INLIERS = np.arange(100, dtype=np.float32)


@pytest.mark.parametrize(("share", "limit"), [(0.01, 98), (0.05, 94), (0.2, 79), (0.001, 99)])
def test_the_limit_rejects_the_share_and_no_more(share: float, limit: float) -> None:
    assert limit_rejecting(INLIERS, share) == limit


def test_ties_at_the_limit_are_accepted() -> None:
    inliers = np.array([0, 1, 1, 1], np.float32)
    assert false_rejection_rate(inliers, limit_rejecting(inliers, 0.25)) == 0


def test_what_each_limit_misses_is_the_mean_over_the_sets() -> None:
    clean = {"a": np.array([90.0, 99.0], np.float32), "b": np.array([99.0, 100.0], np.float32)}
    attacked = {"a": np.array([0.0, 0.0], np.float32), "b": np.array([0.0, 96.0], np.float32)}
    first, second, third, *_ = trades(INLIERS, clean, attacked)
    assert (first.rejected, first.missed, first.missed_attacked) == (0.01, 0.25, 1.0)  # above 98
    assert (second.rejected, second.missed, second.missed_attacked) == (0.02, 0.25, 1.0)  # 97
    assert (third.rejected, third.missed, third.missed_attacked) == (0.05, 0.25, 0.75)  # 94


def test_without_an_attack_nothing_is_said_of_one() -> None:
    assert trades(INLIERS, {"a": INLIERS}, {})[0].missed_attacked is None
