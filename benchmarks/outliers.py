"""What synthetic outliers give, beside real ones and beside none.

    python -m benchmarks.outliers [cifar10] [gtsrb] [--inliers N] [--epochs N]

Three small networks for each data set that differ in their outliers alone: attacked inliers and no
outliers (`adv`), `outliers = "synthetic"`, and real ones (both `aloe`). All decide by energy. Each
is trained by `fit` and measured by `evaluate`, clean and with both sides attacked by APGD at the
budget that it was hardened at; the figures are means over six sets of real images from `data/`.
The networks are small and trained briefly: what counts is the difference between rows.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from oodguard.models.decision import Policy
from oodguard.training.cli.progress import EvaluationBar, ProgressBar
from oodguard.training.config.suites import Ascent, Suite
from oodguard.training.evaluation.evaluate import evaluate
from oodguard.training.evaluation.target import run_target
from oodguard.training.fit.fit import fit
from oodguard.training.report.card import percent, share
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
class Bench:
    """A data set in `data/`, another one that is out-of-distribution for it, and a budget."""

    name: str
    other: str
    mirror: bool
    epsilon_255: float


BENCHES = {
    "cifar10": Bench(name="cifar10", other="gtsrb", mirror=True, epsilon_255=2),
    "gtsrb": Bench(name="gtsrb", other="cifar10", mirror=False, epsilon_255=4),
}

ROWS = {
    "none": None,
    "synthetic": "synthetic = 1.0",
    "real": 'parquet = "data/aux_tinyimagenet.parquet"\nblur = 0.6',
}
"""The outliers of each row, as lines of a recipe's [outliers]; None: a method without any."""


def recipe(bench: Bench, outliers: str | None, *, inliers: int, epochs: int) -> str:
    """Return a row's recipe."""
    sets = [*OUT_OF_DISTRIBUTION, f"{bench.other}_test"]
    lines = "\n".join(f'{name} = {{ parquet = "data/{name}.parquet" }}' for name in sets)
    table = f"[outliers]\nweight = 1.0\n{outliers}" if outliers else ""
    return f"""
name = "outliers-{bench.name}"
method = "{"aloe" if outliers else "adv"}"
seed = 1
default_score = "energy"
network = {{ name = "resnet8", width = 16 }}
input = {{ height = 32, width = 32 }}
schedule = {{ epochs = {epochs} }}
attack = {{ epsilon_255 = {bench.epsilon_255} }}

[inliers]
parquet = "data/{bench.name}_train.parquet"
images = {inliers}
validation = 200
calibration = 500
mirror = {str(bench.mirror).lower()}

{table}

[evaluation.test]
parquet = "data/{bench.name}_test.parquet"

[evaluation.outliers]
{lines}
"""


def suite(bench: Bench) -> Suite:
    """Return a short measurement at the budget that the rows are hardened at."""
    return Suite(
        name="benchmark",
        budgets_255=(bench.epsilon_255,),
        test_images=300,
        outlier_images=100,
        ascent=Ascent(kind="apgd", steps=10, restarts=1),
    )


def measured(bench: Bench, text: str, console: Console) -> Report:
    """Train a recipe and measure what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run", text)
        with ProgressBar(console) as bar:
            fit(run, bar, resume=False)
        with EvaluationBar(console) as bar:
            report, _ = evaluate(
                run_target(run, "energy"),
                suite=suite(bench),
                policy=Policy(score="energy"),
                watcher=bar,
            )
    return report


def table(reports: dict[tuple[str, str], Report]) -> str:
    """Return one row for every data set and kind of outliers."""
    head = ["data", "outliers", "accuracy", "AUROC clean", "AUROC attacked", "at"]
    rows = [head, ["---"] * len(head)]
    for (data, outliers), report in reports.items():
        clean, attacked = report.conditions
        rows.append(
            [
                data,
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
    parser.add_argument("data", nargs="*", default=[*BENCHES])
    parser.add_argument("--inliers", type=int, default=9000)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(stderr=True)
    reports = {}
    for name in options.data:
        bench = BENCHES[name]
        for row, outliers in ROWS.items():
            text = recipe(bench, outliers, inliers=options.inliers, epochs=options.epochs)
            reports[name, row] = measured(bench, text, console)
    print(table(reports))


if __name__ == "__main__":
    main()
