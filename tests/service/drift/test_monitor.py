import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from oodguard.service.drift.betting import HIGHER_SCORES, LOWER_SCORES, MEMORIES, cells, fixed_bets
from oodguard.service.drift.martingale import AlarmLimits, advance, no_evidence
from oodguard.service.drift.monitor import DriftDetector
from oodguard.service.drift.ranks import ladder, slots
from tests.service.drift.watched import SUBJECT, drawn, monitor

Change = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _observed(watch: DriftDetector, stream: NDArray[np.float64], seed: int = 0) -> DriftDetector:
    watch.observe(stream, np.random.default_rng(seed))
    return watch


def test_nothing_is_said_before_anything_is_seen() -> None:
    calibration, _ = drawn(50, 0, seed=0)
    watch = _observed(monitor(calibration), np.empty(0))
    assert watch.ranks.steps == watch.rejections.steps == 0
    assert watch.ranks.log_martingale == watch.rejections.log_martingale == 0


def test_a_stream_can_be_cut_anywhere() -> None:
    calibration, stream = drawn(50, 1000, seed=1)
    stream[600:] += 1
    whole = _observed(monitor(calibration), stream)
    parts, random = monitor(calibration), np.random.default_rng(0)
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
def test_traffic_like_the_calibration_set_alarms_as_rarely_as_promised(decimals: int) -> None:
    """Thirty calibration images describe their distribution badly, and that costs nothing."""
    peaks = []
    for seed in range(150):
        calibration, stream = drawn(30, 400, seed=seed)
        watch = monitor(calibration.round(decimals))
        peaks.append(_observed(watch, stream.round(decimals), seed).ranks.log_peak)
    for delta in (0.5, 0.2, 0.1):
        assert np.mean(np.array(peaks) >= -math.log(delta)) <= delta


def test_the_same_bets_on_p_values_of_a_fixed_calibration_set_do_not() -> None:
    """Alarms in three streams of ten would have a chance of 1 in 10,000 if they kept to 1 %."""
    bets, alarms = fixed_bets(), 0
    for seed in range(10):
        calibration, stream = drawn(30, 20_000, seed=seed)
        random = np.random.default_rng(seed)
        found = slots(ladder(calibration, np.zeros(30)), stream, np.zeros(20_000))
        p = (30 - found + 1 - random.random(20_000)) / 31
        evidence = advance(
            no_evidence(bets.shape[1]), bets[cells(p)], AlarmLimits(run_length=1e300)
        )
        alarms += evidence.log_peak >= math.log(100)
    assert alarms >= 3


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
def test_a_change_after_a_quiet_time_is_an_alarm(change: Change) -> None:
    calibration, stream = drawn(400, 6000, seed=2)
    watch = _observed(monitor(calibration, run_length=1e6), stream[:5000])
    assert watch.ranks.log_peak < watch.limits.log_martingale
    assert watch.ranks.alarms == 0
    watch.observe(change(stream[5000:]), np.random.default_rng(1))
    assert watch.ranks.log_peak > watch.limits.log_martingale
    assert watch.ranks.alarms >= 1


def test_scores_that_are_higher_are_found_by_the_bets_on_higher_scores() -> None:
    calibration, stream = drawn(400, 200, seed=7)
    higher, lower = len(HIGHER_SCORES), len(LOWER_SCORES)
    # The last of the fixed bets suppose that all of the traffic has changed; then come the learned.
    whole = slice(-higher - lower - len(MEMORIES), -len(MEMORIES))
    for shift, kinds in ((1, range(higher)), (-1, range(higher, higher + lower))):
        watch = _observed(monitor(calibration), stream + shift)
        assert watch.ranks.log_playing[whole].argmax() in kinds


def test_what_alarms_stops_to_when_it_has_become_usual() -> None:
    calibration, stream = drawn(100, 30_000, seed=3)
    watch = _observed(monitor(calibration, run_length=1e6), stream[:1000] + 2)
    early = watch.ranks.alarms
    watch.observe(stream[1000:] + 2, np.random.default_rng(1))
    assert early > 0
    late = watch.ranks.alarms
    watch.observe(stream[:5000] + 2, np.random.default_rng(2))
    assert watch.ranks.alarms == late
    # Not so the rate of rejections, which is held against a promise and not against the past.
    assert watch.rejections.log_martingale > 1000


def test_rejections_are_those_of_the_threshold() -> None:
    calibration, _ = drawn(50, 0, seed=4)
    below = _observed(monitor(calibration), np.full(100, SUBJECT.threshold))
    above = _observed(monitor(calibration), np.full(100, np.nextafter(SUBJECT.threshold, 2)))
    assert below.rejections.log_peak == 0
    assert above.rejections.log_peak > 100 > below.rejections.log_peak


def test_scores_that_are_no_numbers_count_as_rejected_and_most_out_of_distribution() -> None:
    calibration, _ = drawn(200, 0, seed=5)
    lost = _observed(monitor(calibration), np.full(60, np.nan))
    high = _observed(monitor(calibration), np.full(60, 1e9))
    assert lost.ranks.log_martingale == high.ranks.log_martingale > math.log(100)
    assert lost.rejections.log_martingale == high.rejections.log_martingale > math.log(100)


def test_a_state_is_not_changed_by_what_is_seen_after_it() -> None:
    calibration, stream = drawn(50, 300, seed=6)
    watch = monitor(calibration)
    state = watch.state
    counts, faded = state.counts.copy(), state.faded.copy()
    watch.observe(stream, np.random.default_rng(0))
    assert state.counts.tolist() == counts.tolist()
    assert state.faded.tolist() == faded.tolist()
    assert (state.ranks.steps, watch.state.ranks.steps) == (0, 300)
