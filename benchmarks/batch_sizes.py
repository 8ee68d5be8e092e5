"""Check that a decision does not depend on the batch of its image.

    python -m benchmarks.batch_sizes [BUNDLE ...] [--images N] [--largest N]

Scores real images alone and in batches of every size up to the service's largest, with the engine
of the service, and counts the decisions that differ from those on single images. The scores may
differ in their last digits, because a runtime may sum in another order; the decisions must not.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet
from rich.console import Console
from rich.progress import track

from oodguard.models.decision import rejects
from oodguard.service.inference.model import LoadedModel, load_model
from oodguard.service.settings import Settings


def images(path: Path, count: int) -> NDArray[np.uint8]:
    """Read the first `count` images of a Parquet file, as `(n, H, W, 3)`."""
    column = parquet.read_table(path, columns=["image"])["image"][:count].to_pylist()
    return np.stack(
        [np.asarray(Image.open(io.BytesIO(each["bytes"])).convert("RGB")) for each in column]
    )


def scores(model: LoadedModel, pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Return the scores `(n,)` of all images, run in batches of one size."""
    column = model.bundle.manifest.scores.index(model.guard.policy.score)
    starts = range(0, len(pixels), size)
    return np.concatenate(
        [model.session.run(pixels[at : at + size])[1][:, column] for at in starts]
    )


def report(console: Console, bundle: Path, pixels: NDArray[np.uint8], largest: int) -> int:
    """Print the result for one bundle; return the number of decisions that differ."""
    model = load_model(bundle, Settings(max_batch=largest))
    alone = scores(model, pixels, 1)
    limit = model.guard.thresholds.pool.threshold
    decisions = rejects(alone, limit)
    maximum, differing = 0.0, 0
    for size in track(range(2, largest + 1), bundle.name, console=console, transient=True):
        batched = scores(model, pixels, size)
        maximum = max(maximum, float(np.abs(batched - alone).max()))
        differing += int((rejects(batched, limit) != decisions).sum())
    nearest = float(np.abs(alone.astype(np.float64) - limit).min())
    console.print(
        f"{bundle.name}: {len(pixels)} images alone and in batches of 2 to {largest}: "
        f"{differing} decisions differ; scores differ by at most {maximum:.2g}, and their smallest "
        f"distance from the threshold is {nearest:.2g}"
    )
    return differing


def main() -> None:
    """Measure and print; exit 1 if a decision differs."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("bundles", nargs="*", type=Path, default=[Settings().bundle])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--largest", type=int, default=64)
    parser.add_argument("--data", type=Path, default=Path("data/cifar10_test.parquet"))
    options = parser.parse_args()
    pixels = images(options.data, options.images)
    console = Console()
    differing = [report(console, each, pixels, options.largest) for each in options.bundles]
    raise SystemExit(1 if any(differing) else 0)


if __name__ == "__main__":
    main()
