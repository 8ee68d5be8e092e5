"""Measure the CPU time per observed score by batch size.

python -m benchmarks.drift.cost
"""

import time

import numpy as np

from benchmarks.drift.draws import Draw, Floats
from oodguard.service.drift.detector import DriftDetector

CALIBRATION_IMAGES = 4000
SCORES = 20_000
BATCH_SIZES = (1, 8, 64, 1024)


def us_per_score(detector: DriftDetector, stream: Floats, batch_size: int) -> float:
    """Return the CPU time in microseconds per score of `stream`."""
    random = np.random.default_rng(0)
    began = time.process_time()
    for start in range(0, len(stream), batch_size):
        detector.observe(stream[start : start + batch_size], random)
    return (time.process_time() - began) / len(stream) * 1e6


def main() -> None:
    """Measure and print: unchanged traffic, and a flood with repeated alarms."""
    inliers = np.random.default_rng(0).normal(size=100_000)
    print("| batch size | us per score | in a flood |\n| --- | --- | --- |")
    for batch_size in BATCH_SIZES:
        draw = Draw.of(inliers, CALIBRATION_IMAGES, seed=1)
        stream = draw.unchanged(SCORES)
        costs = (us_per_score(draw.detector(), each, batch_size) for each in (stream, stream + 9))
        print(f"| {batch_size:,} | {' | '.join(f'{cost:.1f}' for cost in costs)} |")


if __name__ == "__main__":
    main()
