"""How soon each alarm is raised by traffic that has changed."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.draws import Change, Draw, Floats
from benchmarks.drift.windows import WINDOW, ks_distances, looks, rejection_rates
from oodguard.service.drift.monitor import DriftDetector

PATIENCE = 50_000
"""How many scores after a change are waited for."""

WindowLimits = Mapping[str, float]
Delays = Mapping[str, float]
"""Scores from the change to each alarm, infinity where there was none or one too early."""


def delays(
    draw: Draw, quiet: int, changes: Mapping[str, Change], limits: WindowLimits
) -> dict[str, Delays]:
    """Watch `quiet` unchanged scores and then, from the same state, each of the changes."""
    before, watch = draw.unchanged(quiet), draw.monitor()
    watch.observe(before, draw.random)
    found: dict[str, Delays] = {}
    for name, change in changes.items():
        stream = draw.changed(PATIENCE, change)
        found[name] = {
            **monitor_delays(draw.monitor(watch.state), stream, draw.random),
            **_window_delays(draw, before[-WINDOW:], stream, limits),
        }
    return found


def monitor_delays(watch: DriftDetector, stream: Floats, random: np.random.Generator) -> Delays:
    """Return when a monitor first raises each of its alarms."""
    restarts = watch.ranks.alarms
    found = dict.fromkeys(_raised(watch, restarts), np.inf)
    early = {name for name, raised in _raised(watch, restarts).items() if raised}
    for end, part in _parts(stream):
        watch.observe(part, random)
        for name, raised in _raised(watch, restarts).items():
            if raised and name not in early:
                found[name] = min(found[name], end)
        if np.isfinite([*found.values()]).all():
            break
    return found


def _raised(watch: DriftDetector, restarts: int) -> dict[str, bool]:
    limit = watch.limits.log_martingale
    return {
        "martingale": watch.ranks.log_peak >= limit,
        "restarting": watch.ranks.alarms > restarts,
        "rejections": watch.rejections.log_peak >= limit,
    }


def _parts(stream: Floats) -> Iterator[tuple[int, Floats]]:
    """Yield a stream in small parts, then in larger ones, each with where it ends."""
    end = 0
    while end < len(stream):
        step = 10 if end < WINDOW else 100
        yield min(end + step, len(stream)), stream[end : end + step]
        end += step


def _window_delays(draw: Draw, before: Floats, stream: Floats, limits: WindowLimits) -> Delays:
    whole = np.concatenate([before, stream])
    after = looks(len(whole)) - len(before)
    statistics = {
        "rate": rejection_rates(whole, draw.subject.threshold),
        "ks": ks_distances(whole, draw.calibration),
    }
    return {
        name: _first(after[(each > limits[name]) & (after > 0)])
        for name, each in statistics.items()
    }


def _first(ends: NDArray[np.int64]) -> float:
    return float(ends[0]) if len(ends) else np.inf


def delay_cells(runs: Sequence[Delays]) -> list[str]:
    """Return by alarm the median delay and, where there are several runs, the 90 % quantile."""
    levels = (0.5, 0.9) if len(runs) > 1 else (0.5,)
    return [
        " / ".join(
            _shown(float(np.quantile([run[name] for run in runs], level, method="higher")))
            for level in levels
        )
        for name in runs[0]
    ]


def _shown(delay: float) -> str:
    return f"{delay:,.0f}" if np.isfinite(delay) else "never"
