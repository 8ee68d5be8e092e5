"""Measure the false-alarm rate of each alarm on unchanged traffic."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.drift.draws import LIMITS, POLICY, Draw, Floats
from benchmarks.drift.windows import ks_distances, ks_limit, rejection_rates
from oodguard.service.drift.betting import cells, fixed_bets
from oodguard.service.drift.martingale import advance, initial_evidence
from oodguard.training.report.markdown import percent

Peaks = Mapping[str, float]
"""The maximum of each statistic on a stream; "restarts" counts Shiryaev-Roberts alarms."""

CHUNK = 50_000
"""Scores per step, to bound memory."""


def unchanged_peaks(draw: Draw, n: int) -> Peaks:
    """Observe `n` unchanged scores."""
    stream, detector = draw.unchanged(n), draw.detector()
    detector.observe(stream, draw.random)
    return {
        "martingale": detector.ranks.log_peak,
        "restarts": detector.ranks.alarms,
        "rejections": detector.rejections.log_peak,
        "fixed": _peak_from_fixed_calibration(draw, stream),
        "rate": float(rejection_rates(stream, draw.monitored.threshold).max()),
        "ks": float(ks_distances(stream, draw.calibration).max()),
    }


def _peak_from_fixed_calibration(draw: Draw, stream: Floats) -> float:
    """Return the peak of the same bets on p-values from the calibration set alone."""
    m, bets = len(draw.calibration), fixed_bets()
    above = m - np.searchsorted(draw.calibration, stream, side="left")
    p = (above + draw.random.random(len(stream))) / (m + 1)
    evidence = initial_evidence(bets.shape[1])
    for start in range(0, len(p), CHUNK):
        evidence = advance(evidence, bets[cells(p[start : start + CHUNK])], LIMITS)
    return evidence.log_peak


def false_alarm_rows(groups: Sequence[Sequence[Peaks]], m: int) -> list[list[str]]:
    """Return the share of each group's streams that raise each alarm.

    Args:
        groups: The peaks of each group's streams.
        m: The number of calibration images.
    """
    alpha = POLICY.false_rejection_rate
    limits = [
        ("martingale, delta .05", "martingale", math.log(20)),
        ("martingale, delta .01", "martingale", math.log(100)),
        ("rejections, delta .05", "rejections", math.log(20)),
        ("rejections, delta .01", "rejections", math.log(100)),
        ("the martingale's bets on p-values of the calibration set alone", "fixed", math.log(100)),
        ("window: rate of rejections above alpha", "rate", math.nextafter(alpha, 1)),
        ("window: Kolmogorov-Smirnov at 1 %", "ks", ks_limit(m)),
    ]
    return [
        [name, *(_share_above(limit, runs, key) for runs in groups)] for name, key, limit in limits
    ]


def _share_above(limit: float, runs: Sequence[Peaks], key: str) -> str:
    return percent(float(np.mean([run[key] >= limit for run in runs])))


def fitted_limit(runs: Sequence[Peaks], key: str, delta: float) -> float:
    """Return the limit that a share `delta` of the runs, rounded down, exceeds."""
    values = sorted(run[key] for run in runs)
    return values[len(values) - 1 - int(delta * len(values))]
