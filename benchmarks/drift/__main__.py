"""Measure the detection delay and the false-alarm rate of drift detection on real scores.

    python -m benchmarks.drift [--seeds N] [--streams N]

The benchmark uses the deciding score of the shipped cifar10-aloe on its calibration images, on
CIFAR-10's test images and on out-of-distribution images from `data/`, in three experiments:

1. Unchanged traffic: calibration set and stream are drawn from the same in-distribution scores, so
   that every alarm is false.
2. Changed traffic: other scores are mixed into such traffic.
3. The shipped calibration set, and CIFAR-10's test images once each, in order.

The baselines are two sliding windows of 1,000 scores, evaluated every 100 scores: the rejection
rate, and the Kolmogorov-Smirnov distance from the calibration scores. Their limits are fitted
afterwards such that they alarm in 1 % of the long unchanged streams, which an operator does not
have.

The run takes 15 minutes on one core, and two minutes with `--seeds 3 --streams 5`.
"""

import argparse
from collections.abc import Iterable, Sequence

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.drift.delays import delay_cells, delays, detector_delays
from benchmarks.drift.draws import LIMITS, POLICY, Change, Draw
from benchmarks.drift.false_alarms import (
    Peaks,
    false_alarm_rows,
    fitted_limit,
    unchanged_peaks,
)
from benchmarks.drift.scores import RealScores, real_scores
from oodguard.models.decision import rejects
from oodguard.service.drift.detector import DriftDetector
from oodguard.service.drift.state import initial_state, monitored_score
from oodguard.training.report.markdown import percent

SHORT, LONG, LONGEST = 2_000, 50_000, 1_000_000
"""Lengths of unchanged streams. `--streams` is the number of long ones; there are ten times as many
short ones and a tenth as many of the longest."""

QUIET = (0, 100_000)
"""Numbers of unchanged scores before a change."""

ALARMS = ("martingale", "Shiryaev-Roberts", "rejections", "window: rate", "window: KS")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def unchanged(scores: RealScores, streams: int) -> tuple[str, Sequence[Peaks]]:
    """Return the table of false alarms, and the peaks of the long streams."""
    m = len(scores.calibration)
    counts = {SHORT: 10 * streams, LONG: streams, LONGEST: max(1, streams // 10)}
    groups = {
        length: [
            unchanged_peaks(Draw.of(scores.inliers, m, seed), length)
            for seed in _progress(count, f"unchanged, {length:,}")
        ]
        for length, count in counts.items()
    }
    head = ["false alarms", *(f"{len(runs):,} streams of {n:,}" for n, runs in groups.items())]
    lines = [
        f"Shiryaev-Roberts: {sum(int(run['restarts']) for run in runs)} in the streams of"
        f" {length:,}, {length * len(runs) / LIMITS.run_length:g} allowed."
        for length, runs in groups.items()
    ]
    text = "\n".join([table(head, false_alarm_rows(list(groups.values()), m)), "", *lines])
    return text, groups[LONG]


def changed(scores: RealScores, long: Sequence[Peaks], seeds: int) -> str:
    """Return the table of delays."""
    limits = {key: fitted_limit(long, key, LIMITS.delta) for key in ("rate", "ks")}
    repeated = np.array([np.median(scores.calibration)])
    changes = {
        **{
            f"{percent(share)} out-of-distribution": Change(share=share, others=scores.outliers)
            for share in (0.01, 0.05, 0.2)
        },
        "20 % one repeated in-distribution image": Change(share=0.2, others=repeated),
    }
    rows = []
    for quiet in QUIET:
        runs = [
            delays(Draw.of(scores.inliers, len(scores.calibration), seed), quiet, changes, limits)
            for seed in _progress(seeds, f"changed after {quiet:,}")
        ]
        rows += [
            [name, f"{quiet:,}", *delay_cells([run[name] for run in runs])] for name in changes
        ]
    return table(["change", "after", *ALARMS], rows)


def as_shipped(scores: RealScores) -> str:
    """Return the table of the test images with the shipped calibration set."""
    monitored = monitored_score(scores.bundle, POLICY, LIMITS)
    rows = []
    for name, stream in scores.changed.items():
        random = np.random.default_rng(0)
        state = initial_state(len(scores.calibration), random)
        detector = DriftDetector(scores.calibration, monitored, LIMITS, state)
        found = detector_delays(detector, stream, random)
        rejected = percent(float(rejects(stream, monitored.threshold).mean()))
        rows.append([name, rejected, *delay_cells([found])])
    return table(["test images", "rejected", *ALARMS[:3]], rows)


def _progress(count: int, what: str) -> Iterable[int]:
    return track(range(count), what, console=Console(stderr=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--streams", type=int, default=200)
    options = parser.parse_args()
    scores = real_scores()
    print(as_shipped(scores), flush=True)
    false_alarms, long = unchanged(scores, options.streams)
    print(f"\n{false_alarms}", flush=True)
    print(f"\n{changed(scores, long, options.seeds)}")


if __name__ == "__main__":
    main()
