"""Compare training in two processes with training in one: the losses, and the images per second.

    python -m benchmarks.training_scaling --inliers INLIERS.parquet --outliers OUTLIERS.parquet

Trains with ALOE on the first --images of each table. The network has no batch-norm, which on CPUs
is separate per process, and about the arithmetic of `resnet14` of width 32. Each process has one
thread. Two processes need two idle CPUs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from pyarrow import parquet
from torch import Tensor, nn

from benchmarks.serving.processes import free_port
from benchmarks.serving.service import ROOT
from oodguard.training.run_folder import RunFolder
from oodguard.training.run_progress import RunProgress

RECIPE = """
name = "scaling"
method = "aloe"
seed = 1

[network]
name = "benchmarks.training_scaling:WithoutBatchNorm"

[input]
height = 32
width = 32

[inliers]
parquet = "inliers.parquet"
validation = 100
calibration = 100

[outliers]
parquet = "outliers.parquet"

[attack]
epsilon_255 = 2

[schedule]
epochs = {epochs}
peak_rate = 0.02

[evaluation.test]
parquet = "inliers.parquet"

[evaluation.outliers]
outliers = {{ parquet = "outliers.parquet" }}
"""


class WithoutBatchNorm(nn.Module):
    """Six convolutions for images of 32 pixels."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        widths = [3, 64, 64, 128, 128, 256, 256]
        strides = [2, 1, 2, 1, 2, 1]
        layers: list[nn.Module] = []
        for inputs, width, stride in zip(widths, widths[1:], strides, strict=False):
            layers += [nn.Conv2d(inputs, width, 3, stride=stride, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(widths[-1], outputs)

    def features(self, images: Tensor) -> Tensor:
        """Return the features (n, 256) of images (n, 3, height, width)."""
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, outputs) of images (n, 3, height, width)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def train(recipe: Path, folder: Path, processes: int) -> RunProgress:
    """Train the recipe in a number of processes."""
    torchrun = ["torch.distributed.run", f"--nproc-per-node={processes}"]
    torchrun += ["--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    command = ["-m", "oodguard.training", "fit", str(recipe), "--out", str(folder)]
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", *torchrun, *command, "--threads", "1"],
        check=True,
        capture_output=True,
        cwd=recipe.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return RunFolder(folder).progress()


def training_s(run: RunProgress) -> float:
    """Return the seconds of training.

    The first epoch is left out, as it includes the start of the threads; so are the figures of an
    epoch, which the first process measures alone.
    """
    return sum(each.duration_s - (each.validation_s or 0.0) for each in run.epochs[1:])


def main() -> None:
    """Print the largest difference of the losses, and the ratio of the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inliers", type=Path, required=True)
    parser.add_argument("--outliers", type=Path, required=True)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error(f"--epochs is {options.epochs}, expected at least 2: the first is left out")
    ratios, differences, seconds = [], [], []
    with tempfile.TemporaryDirectory(prefix="scaling") as scratch:
        recipe = Path(scratch) / "recipe.toml"
        recipe.write_text(RECIPE.format(epochs=options.epochs))
        for name in ("inliers", "outliers"):
            table = parquet.read_table(getattr(options, name)).slice(0, options.images)
            parquet.write_table(table, Path(scratch) / f"{name}.parquet")
        for number in range(options.rounds):
            one, two = (train(recipe, Path(scratch) / f"{number}-{n}", n) for n in (1, 2))
            pairs = zip(one.epochs, two.epochs, strict=True)
            differences.append(max(abs(a.loss - b.loss) for a, b in pairs))
            seconds.append([round(training_s(run), 2) for run in (one, two)])
            ratios.append(training_s(one) / training_s(two))
    figures = {
        "largest_difference_of_losses": max(differences),
        "seconds": seconds,
        "images_per_s_ratio": round(statistics.median(ratios), 2),
        "ratios": [round(min(ratios), 2), round(max(ratios), 2)],
        "load": os.getloadavg()[0],
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
