"""Measure the delay of each alarm after traffic has changed."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.draws import Change, Draw, Floats
from benchmarks.drift.windows import WINDOW, ks_distances, rejection_rates, window_ends
from oodguard.service.drift.detector import DriftDetector

MAX_DELAY = 50_000
"""The number of scores after a change."""

WindowLimits = Mapping[str, float]
Delays = Mapping[str, float]
"""Scores from the change to each alarm; infinity without an alarm or with an early one."""


def delays(
    draw: Draw, quiet: int, changes: Mapping[str, Change], limits: WindowLimits
) -> dict[str, Delays]:
    """Observe `quiet` unchanged scores and then, from the same state, each change."""
    before, detector = draw.unchanged(quiet), draw.detector()
    detector.observe(before, draw.random)
    found: dict[str, Delays] = {}
    for name, change in changes.items():
        stream = draw.changed(MAX_DELAY, change)
        found[name] = {
            **detector_delays(draw.detector(detector.state), stream, draw.random),
            **_window_delays(draw, before[-WINDOW:], stream, limits),
        }
    return found


def detector_delays(detector: DriftDetector, stream: Floats, random: np.random.Generator) -> Delays:
    """Return when a detector first raises each of its alarms."""
    restarts = detector.ranks.alarms
    found = dict.fromkeys(_raised(detector, restarts), np.inf)
    early = {name for name, raised in _raised(detector, restarts).items() if raised}
    for end, part in _parts(stream):
        detector.observe(part, random)
        for name, raised in _raised(detector, restarts).items():
            if raised and name not in early:
                found[name] = min(found[name], end)
        if np.isfinite([*found.values()]).all():
            break
    return found


def _raised(detector: DriftDetector, restarts: int) -> dict[str, bool]:
    limit = detector.limits.log_martingale
    return {
        "martingale": detector.ranks.log_peak >= limit,
        "restarting": detector.ranks.alarms > restarts,
        "rejections": detector.rejections.log_peak >= limit,
    }


def _parts(stream: Floats) -> Iterator[tuple[int, Floats]]:
    """Yield a stream in small and then larger parts, each with its end."""
    end = 0
    while end < len(stream):
        step = 10 if end < WINDOW else 100
        yield min(end + step, len(stream)), stream[end : end + step]
        end += step


def _window_delays(draw: Draw, before: Floats, stream: Floats, limits: WindowLimits) -> Delays:
    whole = np.concatenate([before, stream])
    after = window_ends(len(whole)) - len(before)
    statistics = {
        "rate": rejection_rates(whole, draw.monitored.threshold),
        "ks": ks_distances(whole, draw.calibration),
    }
    return {
        name: _first(after[(each > limits[name]) & (after > 0)])
        for name, each in statistics.items()
    }


def _first(ends: NDArray[np.int64]) -> float:
    return float(ends[0]) if len(ends) else np.inf


def delay_cells(runs: Sequence[Delays]) -> list[str]:
    """Return the median delay of each alarm and, for several runs, the 90 % quantile."""
    levels = (0.5, 0.9) if len(runs) > 1 else (0.5,)
    return [
        " / ".join(
            _formatted(float(np.quantile([run[name] for run in runs], level, method="higher")))
            for level in levels
        )
        for name in runs[0]
    ]


def _formatted(delay: float) -> str:
    return f"{delay:,.0f}" if np.isfinite(delay) else "never"
