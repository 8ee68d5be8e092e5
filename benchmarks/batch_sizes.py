"""Whether a decision depends on the batch that an image came in.

    python -m benchmarks.batch_sizes [BUNDLE ...] [--images N] [--largest N]

Judges real images alone and in batches of every size up to the largest that the service runs, as
its engine does, and counts the decisions that differ from those on single images. The scores may
differ in their last digits, since a runtime adds in another order; the decisions must not.
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
    """Score all images in batches of a size."""
    column = model.bundle.manifest.scores.index(model.guard.policy.score)
    starts = range(0, len(pixels), size)
    return np.concatenate([model.engine.run(pixels[at : at + size])[1][:, column] for at in starts])


def report(console: Console, bundle: Path, pixels: NDArray[np.uint8], largest: int) -> int:
    """Print what was found for one bundle; how many decisions differ."""
    model = load_model(bundle, Settings(max_batch=largest))
    alone = scores(model, pixels, 1)
    decided = rejects(alone, model.guard.threshold)
    furthest, differing = 0.0, 0
    for size in track(range(2, largest + 1), bundle.name, console=console, transient=True):
        found = scores(model, pixels, size)
        furthest = max(furthest, float(np.abs(found - alone).max()))
        differing += int((rejects(found, model.guard.threshold) != decided).sum())
    nearest = float(np.abs(alone.astype(np.float64) - model.guard.threshold).min())
    console.print(
        f"{bundle.name}: {len(pixels)} images alone and in batches of 2 to {largest}: "
        f"{differing} decisions differ; scores differ by at most {furthest:.2g}, and the nearest "
        f"to the threshold is {nearest:.2g} away"
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
