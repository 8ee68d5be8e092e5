import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.service.drift.detector import DriftDetector
from oodguard.service.drift.state import reference_scores
from tests.service.drift.drift_streams import MONITORED, detector, drawn

Change = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _observed(tested: DriftDetector, stream: NDArray[np.float64], seed: int = 0) -> DriftDetector:
    tested.observe(stream, np.random.default_rng(seed))
    return tested


def test_detector_has_no_evidence_without_scores() -> None:
    calibration, _ = drawn(50, 0, seed=0)
    tested = _observed(detector(calibration), np.empty(0))
    for evidence in (tested.ranks, tested.rejections):
        assert (evidence.steps, evidence.log_martingale) == (0, 0)
        assert evidence.log_shiryaev_roberts == -math.inf


def test_detector_does_not_depend_on_the_split_into_calls() -> None:
    calibration, stream = drawn(50, 1000, seed=1)
    stream[600:] += 1
    whole = _observed(detector(calibration), stream)
    parts, random = detector(calibration), np.random.default_rng(0)
    for part in np.split(stream, [1, 2, 130, 130, 777]):
        parts.observe(part, random)
    assert parts.state.counts.tolist() == whole.state.counts.tolist()
    for found, expected in ((parts.ranks, whole.ranks), (parts.rejections, whole.rejections)):
        assert found.steps == expected.steps == 1000
        assert found.alarms == expected.alarms > 0
        assert found.log_martingale == pytest.approx(expected.log_martingale)
        assert found.log_peak == pytest.approx(expected.log_peak)
        assert found.log_peak > math.log(100)
        assert found.log_shiryaev_roberts == pytest.approx(expected.log_shiryaev_roberts)


@pytest.mark.parametrize("decimals", [9, 0])
def test_detector_false_alarm_probability_is_within_delta(decimals: int) -> None:
    """Thirty calibration images describe their distribution poorly; the bound still holds."""
    peaks = []
    for seed in range(150):
        calibration, stream = drawn(30, 400, seed=seed)
        tested = detector(calibration.round(decimals))
        peaks.append(_observed(tested, stream.round(decimals), seed).ranks.log_peak)
    for delta in (0.5, 0.2, 0.1):
        assert np.mean(np.array(peaks) >= -math.log(delta)) <= delta


def test_detector_false_alarm_probability_is_within_delta_for_images_of_new_groups() -> None:
    """Thirty groups of eight images, whose scores hardly differ within a group."""
    groups = np.repeat(np.arange(30, dtype=np.int32), 8)
    peaks = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        of_groups, stream = drawn(30, 400, seed=seed)
        scores = (of_groups[groups] + random.normal(0, 0.1, len(groups))).astype(np.float32)
        rows = CalibrationRows(scores={"energy": scores}, groups=groups)
        tested = detector(reference_scores(rows, "energy"))
        stream += random.normal(0, 0.1, len(stream))
        peaks.append(_observed(tested, stream, seed).ranks.log_peak)
    for delta in (0.5, 0.2, 0.1):
        assert np.mean(np.array(peaks) >= -math.log(delta)) <= delta


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda tail: tail + 1, id="higher"),
        pytest.param(lambda tail: tail - 1, id="lower"),
        pytest.param(lambda tail: tail * 0 + 0.3, id="stuck"),
        pytest.param(lambda tail: tail * 0.3, id="narrower"),
        pytest.param(lambda tail: tail * 3, id="wider"),
    ],
)
def test_detector_alarms_on_a_change(change: Change) -> None:
    calibration, stream = drawn(400, 6000, seed=2)
    tested = _observed(detector(calibration, run_length=1e6), stream[:5000])
    assert tested.ranks.log_peak < tested.limits.log_martingale
    assert tested.ranks.alarms == 0
    tested.observe(change(stream[5000:]), np.random.default_rng(1))
    assert tested.ranks.log_peak > tested.limits.log_martingale
    assert tested.ranks.alarms >= 1


def test_detector_adapts_to_a_lasting_change_in_ranks_but_not_in_rejections() -> None:
    calibration, stream = drawn(100, 30_000, seed=3)
    tested = _observed(detector(calibration, run_length=1e6), stream[:1000] + 2)
    assert tested.ranks.alarms > 0
    tested.observe(stream[1000:] + 2, np.random.default_rng(1))
    late = tested.ranks.alarms
    tested.observe(stream[:5000] + 2, np.random.default_rng(2))
    assert tested.ranks.alarms == late
    # The rejection rate is compared with alpha, not with earlier traffic.
    assert tested.rejections.log_martingale > 1000


def test_detector_rejects_scores_above_the_threshold() -> None:
    calibration, _ = drawn(50, 0, seed=4)
    below = _observed(detector(calibration), np.full(100, MONITORED.threshold))
    above = _observed(detector(calibration), np.full(100, np.nextafter(MONITORED.threshold, 2)))
    assert below.rejections.log_peak == 0
    assert above.rejections.log_peak > 100 > below.rejections.log_peak


def test_detector_counts_nan_as_rejected_and_most_out_of_distribution() -> None:
    calibration, _ = drawn(200, 0, seed=5)
    lost = _observed(detector(calibration), np.full(60, np.nan))
    high = _observed(detector(calibration), np.full(60, 1e9))
    assert lost.ranks.log_martingale == high.ranks.log_martingale > math.log(100)
    assert lost.rejections.log_martingale == high.rejections.log_martingale > math.log(100)


def test_detector_state_is_a_snapshot() -> None:
    calibration, stream = drawn(50, 300, seed=6)
    tested = detector(calibration)
    state = tested.state
    counts, faded = state.counts.copy(), state.histograms.copy()
    tested.observe(stream, np.random.default_rng(0))
    assert state.counts.tolist() == counts.tolist()
    assert state.histograms.tolist() == faded.tolist()
    assert (state.ranks.steps, tested.state.ranks.steps) == (0, 300)
