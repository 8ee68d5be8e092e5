"""What it costs to watch a score, by how many are observed together.

python -m benchmarks.drift.cost
"""

import time

import numpy as np

from benchmarks.drift.draws import Draw, Floats
from oodguard.service.drift.monitor import DriftDetector

CALIBRATION_IMAGES = 4000
SCORES = 20_000
TOGETHER = (1, 8, 64, 1024)


def us_per_score(watch: DriftDetector, stream: Floats, together: int) -> float:
    """Return the microseconds of processor time that a score of `stream` takes."""
    random = np.random.default_rng(0)
    began = time.process_time()
    for start in range(0, len(stream), together):
        watch.observe(stream[start : start + together], random)
    return (time.process_time() - began) / len(stream) * 1e6


def main() -> None:
    """Measure and print: unchanged traffic, and a flood that alarms again and again."""
    usual = np.random.default_rng(0).normal(size=100_000)
    print("| together | us a score | in a flood |\n| --- | --- | --- |")
    for together in TOGETHER:
        draw = Draw.of(usual, CALIBRATION_IMAGES, seed=1)
        stream = draw.unchanged(SCORES)
        costs = (us_per_score(draw.monitor(), each, together) for each in (stream, stream + 9))
        print(f"| {together:,} | {' | '.join(f'{cost:.1f}' for cost in costs)} |")


if __name__ == "__main__":
    main()
