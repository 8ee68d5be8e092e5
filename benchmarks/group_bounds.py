"""Compare the thresholds of a calibration with groups over many draws of real tracks.

    python -m benchmarks.group_bounds DATA [--draws 1000]

DATA is a folder with gtsrb_train.parquet. Tracks are drawn with replacement, so that the 1,307
tracks are the whole distribution and the rejected share of images of a new track is known exactly.
docs/calibration.md has the table.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from oodguard.models.bundle import open_bundle
from oodguard.models.calibration import rejection_rank
from oodguard.models.group_calibration import group_threshold
from oodguard.training.scoring.parity import in_batches, onnx_run

ALPHA = DELTA = 0.05
BETS = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.99]) / (1 - ALPHA)
"""Stakes on "the mean is below alpha"; above 1 / (1 - alpha) the capital could be negative."""


def betting_threshold(scores: NDArray[np.float32], groups: NDArray[np.int_]) -> float:
    """Return the lowest threshold at which an upper bound on the groups' mean rate is alpha.

    The capital of a fixed stake is a product over groups with mean at most 1 if the mean rate is
    alpha or more, so it exceeds 1 / delta with probability at most delta; the stakes are averaged.
    Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by betting". The
    threshold is that of Bates et al. 2021: the bound holds from it upwards.
    """
    sizes = np.bincount(groups)
    rates = np.zeros(len(sizes))
    limit = np.inf
    for row in np.argsort(-scores, kind="stable"):
        capital = np.exp(np.log1p(BETS[:, None] * (ALPHA - rates)).sum(axis=1)).mean()
        if capital < 1 / DELTA:
            break
        limit = float(scores[row])
        rates[groups[row]] += 1 / sizes[groups[row]]
    return limit


def thresholds(scores: NDArray[np.float32], groups: NDArray[np.int_]) -> dict[str, float]:
    """Return the threshold of each method."""
    rank = rejection_rank(len(scores), alpha=ALPHA, delta=DELTA)
    return {
        "frames as independent images": float(np.sort(scores)[len(scores) - rank]),
        "one frame per track": group_threshold(scores, groups, alpha=ALPHA, delta=DELTA),
        "upper bound on the tracks' rates": betting_threshold(scores, groups),
        "weighted, without delta": group_threshold(scores, groups, alpha=ALPHA, delta=None),
    }


def measure(
    scores: NDArray[np.float32], groups: NDArray[np.int_], *, number: int, draws: int
) -> dict[str, NDArray[np.float64]]:
    """Return the rejected share `(draws,)` of images of a new track, by method."""
    random = np.random.default_rng(0)
    sizes = np.bincount(groups)
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    weights = 1 / sizes[groups] / len(sizes)
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        chosen = random.integers(0, len(members), number)
        rows = np.concatenate([members[each] for each in chosen])
        drawn = np.repeat(np.arange(number), sizes[chosen])
        for name, limit in thresholds(scores[rows], drawn).items():
            found.setdefault(name, []).append(float(weights[scores > limit].sum()))
    return {name: np.array(each) for name, each in found.items()}


def tracks(data: Path) -> tuple[NDArray[np.float32], NDArray[np.int_]]:
    """Return the default scores `(n,)` of gtsrb-aloe, and the track `(n,)` of each image."""
    bundle = open_bundle(Path("models/pretrained/gtsrb-aloe"))
    table = parquet.read_table(data / "gtsrb_train.parquet").to_pydict()
    pixels = np.stack(
        [np.asarray(Image.open(io.BytesIO(each["bytes"]))) for each in table["image"]]
    )
    _, scores = in_batches(onnx_run(bundle.model), pixels, 256)
    films = np.array(table["label"]) * 10_000 + np.array(table["track"])
    column = bundle.manifest.scores.index(bundle.manifest.default_score)
    return scores[:, column], np.unique(films, return_inverse=True)[1]


def main() -> None:
    """Print a row for each number of tracks and method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    scores, groups = tracks(options.data)
    for number in (60, 100, 200, 400):
        for name, rates in measure(scores, groups, number=number, draws=options.draws).items():
            broken = (rates > ALPHA).mean()
            print(f"{number} tracks, {name}: mean {rates.mean():.2%}, above alpha {broken:.1%}")


if __name__ == "__main__":
    main()
