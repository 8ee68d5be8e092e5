import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.drift.delays import delay_cells, detector_delays
from benchmarks.drift.draws import Change, Draw
from benchmarks.drift.false_alarms import false_alarm_rows, fitted_limit, unchanged_peaks
from benchmarks.drift.windows import WINDOW, ks_distances, ks_limit, rejection_rates, window_ends

POOL = np.random.default_rng(0).normal(size=3000)


def test_drift_window_ends_when_full_and_every_hundred_scores() -> None:
    assert window_ends(999).tolist() == []
    assert window_ends(1250).tolist() == [1000, 1100, 1200]


def test_drift_rejection_rate_is_that_of_the_window() -> None:
    scores = np.zeros(1200)
    scores[[5, 950, 1150]] = 2
    assert rejection_rates(scores, threshold=1).tolist() == [2 / 1000, 1 / 1000, 2 / 1000]


def test_drift_ks_distance_equals_scipy() -> None:
    """Except for the resolution of one calibration score."""
    scores = np.random.default_rng(1).normal(size=1100) + 0.3
    calibration = np.sort(POOL)
    expected = [
        stats.ks_2samp(scores[start : start + WINDOW], calibration).statistic for start in (0, 100)
    ]
    np.testing.assert_allclose(ks_distances(scores, calibration), expected, atol=1 / 3000)


def test_drift_ks_limit_is_the_one_percent_point() -> None:
    distance = ks_limit(4000) / math.sqrt(1 / 4000 + 1 / 1000)
    assert stats.kstwobign.sf(distance) == pytest.approx(0.01, abs=1e-4)


def test_drift_change_replaces_its_share_of_the_scores() -> None:
    changed = Draw.of(POOL, 100, seed=0).changed(
        20_000, Change(share=0.2, others=np.array([50.0, 60.0]))
    )
    assert (changed > 40).mean() == pytest.approx(0.2, abs=0.01)
    assert set(changed[changed > 40]) == {50.0, 60.0}
    assert set(changed[changed < 40]) <= set(POOL)


def test_drift_delay_is_the_first_alarm_after_the_change() -> None:
    draw = Draw.of(POOL, 500, seed=1)
    detector = draw.detector()
    detector.observe(draw.unchanged(2000), draw.random)
    found = detector_delays(detector, np.full(300, 9.0), draw.random)
    assert all(0 < delay <= 60 for delay in found.values())
    # An alarm before the change does not count.
    after = detector_delays(detector, np.full(100, 9.0), draw.random)
    assert after["martingale"] == after["rejections"] == math.inf
    assert after["restarting"] <= 60


def test_drift_tables_count_streams_and_sort_delays() -> None:
    quiet = unchanged_peaks(Draw.of(POOL, 200, seed=2), 1100)
    loud = {**quiet, "martingale": 4.0, "rate": 0.2}
    rows = {name: cells for name, *cells in false_alarm_rows([[quiet, loud], [loud]], m=200)}
    assert rows["martingale, delta .05"] == ["50 %", "100 %"]
    assert rows["martingale, delta .01"] == ["0 %", "0 %"]
    assert fitted_limit([{"ks": float(each)} for each in range(100)], "ks", 0.01) == 98
    assert fitted_limit([{"ks": float(each)} for each in range(20)], "ks", 0.01) == 19
    delays = [{"ks": each} for each in (100.0, 200.0, 1500.0, math.inf)]
    assert delay_cells(delays) == ["1,500 / never"]
    assert delay_cells(delays[:1]) == ["100"]
