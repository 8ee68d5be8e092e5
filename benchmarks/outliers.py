"""Compare training with synthetic outliers, with real ones and with none.

    python -m benchmarks.outliers [cifar10] [gtsrb] [--inliers 9000] [--epochs 10]

Three small networks for each data set differ only in their outliers: attacked inliers and no
outliers (`adv`), `synthetic = 1.0`, and real ones (both `aloe`). The score is energy. Each
network is trained by `fit` and measured by `evaluate`, clean and with both sides attacked by APGD
at the epsilon of its training; the figures are means over six sets of real images from `data/`.
The networks are small and trained briefly, so only the differences between rows are meaningful.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.error_lines import at_least, error_lines, positive
from oodguard.models.decision import Policy
from oodguard.training.cli.progress import EvaluationBar, ProgressBar
from oodguard.training.config.suites import Suite, SuiteAttack
from oodguard.training.evaluation.evaluate import evaluate
from oodguard.training.evaluation.target import run_target
from oodguard.training.fit.fit import fit
from oodguard.training.report.markdown import percent, share
from oodguard.training.report.model import Report
from oodguard.training.run_folder import RunFolder

VALIDATION, CALIBRATION = 200, 500
LEAST_INLIERS = 2 * (VALIDATION + CALIBRATION)
"""A run holds out at most half of its inliers."""

OUT_OF_DISTRIBUTION = (
    "cifar100_test",
    "ood_places",
    "ood_textures",
    "ood_hands",
    "ood_fashion_mnist",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSet:
    """A data set in `data/`, another one that is out-of-distribution for it, and an epsilon."""

    name: str
    other: str
    mirror: bool
    epsilon_255: float


DATA_SETS = {
    "cifar10": DataSet(name="cifar10", other="gtsrb", mirror=True, epsilon_255=2),
    "gtsrb": DataSet(name="gtsrb", other="cifar10", mirror=False, epsilon_255=4),
}

ROWS = {
    "none": None,
    "synthetic": "synthetic = 1.0",
    "real": 'parquet = "data/aux_tinyimagenet.parquet"\nblur = 0.6',
}
"""The lines of each row's [outliers] in the recipe; None for a method without outliers."""


def recipe(data: DataSet, outliers: str | None, *, inliers: int, epochs: int) -> str:
    """Return a row's recipe."""
    sets = [*OUT_OF_DISTRIBUTION, f"{data.other}_test"]
    lines = "\n".join(f'{name} = {{ parquet = "data/{name}.parquet" }}' for name in sets)
    table = f"[outliers]\nweight = 1.0\n{outliers}" if outliers else ""
    return f"""
name = "outliers-{data.name}"
method = "{"aloe" if outliers else "adv"}"
seed = 1
default_score = "energy"
network = {{ name = "resnet8", width = 16 }}
input = {{ height = 32, width = 32 }}
schedule = {{ epochs = {epochs} }}
attack = {{ epsilon_255 = {data.epsilon_255} }}

[inliers]
parquet = "data/{data.name}_train.parquet"
images = {inliers}
validation = {VALIDATION}
calibration = {CALIBRATION}
mirror = {str(data.mirror).lower()}

{table}

[evaluation.test]
parquet = "data/{data.name}_test.parquet"

[evaluation.outliers]
{lines}
"""


def suite(data: DataSet) -> Suite:
    """Return a short suite at the epsilon of the training."""
    return Suite(
        name="benchmark",
        budgets_255=(data.epsilon_255,),
        test_images=300,
        outlier_images=100,
        ascent=SuiteAttack(kind="apgd", steps=10, restarts=1),
    )


def measure(data: DataSet, text: str, console: Console) -> Report:
    """Train a recipe, evaluate the network and return the report."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run", text)
        bar = ProgressBar(console)
        with bar.display:
            fit(run, bar, resume=False)
        evaluation_bar = EvaluationBar(console)
        with evaluation_bar.display:
            report, _ = evaluate(
                run_target(run, "energy"),
                suite=suite(data),
                policy=Policy(score="energy"),
                observer=evaluation_bar,
            )
    return report


def table(reports: dict[tuple[str, str], Report]) -> str:
    """Return one row for every data set and kind of outliers."""
    head = ["data", "outliers", "accuracy", "AUROC clean", "AUROC attacked", "at"]
    rows = [head, ["---"] * len(head)]
    for (name, outliers), report in reports.items():
        clean, attacked = report.conditions
        rows.append(
            [
                name,
                outliers,
                percent(report.accuracy),
                share(clean.mean_auroc),
                share(attacked.mean_auroc),
                f"{attacked.epsilon_255:g}/255",
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "data", nargs="*", metavar="DATA", help=f"data sets, by default all: {', '.join(DATA_SETS)}"
    )
    parser.add_argument(
        "--inliers",
        type=at_least(LEAST_INLIERS),
        default=9000,
        help=f"images of the data set, at least {LEAST_INLIERS} (default: %(default)s);"
        f" {VALIDATION} of them are for validation and {CALIBRATION} for calibration",
    )
    parser.add_argument(
        "--epochs", type=positive, default=10, help="of the training (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.data) - set(DATA_SETS)):
        parser.error(
            f"unknown data sets: {', '.join(unknown)}, expected one or more of"
            f" {', '.join(DATA_SETS)}"
        )
    torch.set_num_threads(1)
    console = Console(stderr=True)
    reports = {}
    for name in options.data or DATA_SETS:
        data = DATA_SETS[name]
        for row, outliers in ROWS.items():
            text = recipe(data, outliers, inliers=options.inliers, epochs=options.epochs)
            reports[name, row] = measure(data, text, console)
    print(table(reports))


if __name__ == "__main__":
    with error_lines():
        main()
