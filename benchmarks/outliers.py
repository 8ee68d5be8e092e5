"""Compare training with synthetic outliers, with real ones and with none.

    python -m benchmarks.outliers [cifar10] [gtsrb] [--inliers N] [--epochs N]

Three small networks for each data set differ only in their outliers: attacked inliers and no
outliers (`adv`), `synthetic = 1.0`, and real ones (both `aloe`). The score is energy. Each
network is trained by `fit` and measured by `evaluate`, clean and with both sides attacked by APGD
at the epsilon of its training; the figures are means over six sets of real images from `data/`.
The networks are small and trained briefly, so only the differences between rows are meaningful.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from oodguard.models.decision import Policy
from oodguard.training.cli.progress import EvaluationBar, ProgressBar
from oodguard.training.config.suites import Suite, SuiteAttack
from oodguard.training.evaluation.evaluate import evaluate
from oodguard.training.evaluation.target import run_target
from oodguard.training.fit.fit import fit
from oodguard.training.report.markdown import percent, share
from oodguard.training.report.model import Report
from oodguard.training.run_folder import RunFolder

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
validation = 200
calibration = 500
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("data", nargs="*", default=[*DATA_SETS])
    parser.add_argument("--inliers", type=int, default=9000)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(stderr=True)
    reports = {}
    for name in options.data:
        data = DATA_SETS[name]
        for row, outliers in ROWS.items():
            text = recipe(data, outliers, inliers=options.inliers, epochs=options.epochs)
            reports[name, row] = measure(data, text, console)
    print(table(reports))


if __name__ == "__main__":
    main()
