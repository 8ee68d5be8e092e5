"""Train small guards that differ in one setting each, with several seeds.

    python -m benchmarks.ablation [NAME ...] [--seeds 3] [--inliers 10000] [--epochs 8]
        [--epsilon 2] [--precision bfloat16]

All variants are CIFAR-10 guards on a short schedule, measured clean and with both sides attacked by
APGD at the budget of their training. A setting is chosen by the column `choice`: validation images
against one set, ood_places, which the other columns do not contain. The test columns are for the
reader and must not be used for choosing. Cells are the mean over the seeds and, with two seeds or
more, their standard deviation. `gain` is the difference of `choice` to the variant "base" with the
same seed, which is therefore always trained. On one thread.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.error_lines import at_least, error_lines, positive
from oodguard.models.decision import Policy
from oodguard.sources.source import Source
from oodguard.training.cli.progress import EvaluationBar, ProgressBar
from oodguard.training.config.suites import Suite, SuiteAttack
from oodguard.training.data.dataset import load, split
from oodguard.training.evaluation.evaluate import evaluate
from oodguard.training.evaluation.evaluator import Evaluator
from oodguard.training.evaluation.partial_results import PartialResults
from oodguard.training.evaluation.results import score_result
from oodguard.training.evaluation.target import run_target
from oodguard.training.fit.fit import fit
from oodguard.training.report.markdown import markdown_table
from oodguard.training.run_folder import RunFolder

CHOICE = "ood_places"
TEST_SETS = ("cifar100_test", "ood_textures", "ood_hands", "ood_fashion_mnist", "gtsrb_test")
VALIDATION = CALIBRATION = 500
LEAST_INLIERS = 2 * (VALIDATION + CALIBRATION)
"""A run holds out at most half of its inliers."""

BASE: Mapping[str, object] = {
    "name": "ablation",
    "method": "aloe-abstain",
    "default_score": "abstain",
    "network.name": "resnet8",
    "network.width": 16,
    "input.height": 32,
    "input.width": 32,
    "inliers.parquet": "data/cifar10_train.parquet",
    "inliers.validation": VALIDATION,
    "inliers.calibration": CALIBRATION,
    "outliers.parquet": "data/aux_tinyimagenet.parquet",
    "outliers.blur": 0.6,
    "outliers.vary": 0.25,
    "outliers.weight": 1.0,
    "evaluation.test.parquet": "data/cifar10_test.parquet",
    **{f"evaluation.outliers.{name}.parquet": f"data/{name}.parquet" for name in TEST_SETS},
}
"""The keys of the recipe that all variants share."""

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "base": {},
    "no reject class": {"method": "aloe", "default_score": "energy"},
    "outliers not varied": {"outliers.vary": 0.0},
    "outlier weight 2": {"outliers.weight": 2.0},
    "half the outliers": {"outliers.per_inlier": 0.5},
    "a quarter synthetic outliers": {"outliers.synthetic": 0.25},
    "two attack steps": {"attack.steps": 2, "attack.step_size": 0.75},
    "N-FGSM": {"attack.kind": "n-fgsm"},
    "mirror consistency 1": {"schedule.mirror_consistency": 1.0},
    "label smoothing 0.1": {"schedule.label_smoothing": 0.1},
    "a teacher": {"teacher.weights": "models/pretrained/cifar10-aloe"},
    "average decay 0.995": {"schedule.average_decay": 0.995},
    "KL terms, no reject class": {
        "method": "trades-aloe",
        "default_score": "energy",
        "trades.beta": 2.5,
    },
}
"""The keys that each variant changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The figures of one network: accuracy and mean AUROCs, attacked at the training budget.

    `choice` is that of validation images against the set for choosing.
    """

    choice: float
    accuracy: float
    clean: float
    attacked: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """The training images, epochs, budget and number type that all variants of a table share."""

    inliers: int
    epochs: int
    epsilon_255: float = 2.0
    precision: str = "bfloat16"


def recipe(variant: str, setting: Setting, *, seed: int) -> str:
    """Return the recipe of a variant."""
    shared = {
        "seed": seed,
        "inliers.images": setting.inliers,
        "schedule.epochs": setting.epochs,
        "schedule.precision": setting.precision,
        "attack.epsilon_255": setting.epsilon_255,
    }
    keys = {**BASE, **VARIANTS[variant], **shared}
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())


def suite(epsilon_255: float) -> Suite:
    """Return a suite of one budget."""
    return Suite(
        name="ablation",
        budgets_255=(epsilon_255,),
        test_images=300,
        outlier_images=100,
        ascent=SuiteAttack(kind="apgd", steps=10, restarts=1),
    )


def measure(text: str, setting: Setting, console: Console) -> Outcome:
    """Train a recipe and measure the network."""
    measured_by = suite(setting.epsilon_255)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run", text)
        bar, evaluation_bar = ProgressBar(console), EvaluationBar(console)
        with bar.display:
            fit(run, bar, resume=False)
        score = run.recipe.default_score
        target = run_target(run, score)
        policy = Policy(score=score)
        with evaluation_bar.display:
            report, _ = evaluate(target, suite=measured_by, policy=policy, observer=evaluation_bar)
        data, spec = run.recipe.inliers, run.recipe.input
        held_out = split(load(data, spec), data, seed=run.recipe.seed).validation
        others = load(Source(parquet=f"data/{CHOICE}.parquet"), spec)
        evaluator = Evaluator(
            target=target,
            score=target.score_under_test(score, policy),
            suite=measured_by,
            observer=evaluation_bar,
            partial=PartialResults(None, ""),
        )
        chosen = evaluator.evaluate(
            held_out.subset(slice(measured_by.test_images)),
            {CHOICE: others.subset(slice(measured_by.outlier_images))},
            end_to_end=False,
        )
    clean, attacked = report.conditions
    return Outcome(
        choice=score_result(chosen, seed=measured_by.seed).conditions[1].mean_auroc,
        accuracy=report.accuracy,
        clean=clean.mean_auroc,
        attacked=attacked.mean_auroc,
    )


def table(outcomes: Mapping[str, Sequence[Outcome]], *, epsilon_255: float) -> str:
    """Return one row for every variant, each with one outcome for every seed in the same order."""
    head = ["variant", "choice", "gain", "accuracy", "clean", f"{epsilon_255:g}/255"]
    rows = []
    base = outcomes["base"]
    for name, found in outcomes.items():
        gains = [one.choice - other.choice for one, other in zip(found, base, strict=True)]
        figures = [
            [each.choice for each in found],
            gains,
            [each.accuracy for each in found],
            [each.clean for each in found],
            [each.attacked for each in found],
        ]
        cells = [_with_spread(values) for values in figures]
        rows.append([name, cells[0], "" if name == "base" else cells[1], *cells[2:]])
    return markdown_table([head, *rows])


def _with_spread(values: Sequence[float]) -> str:
    """Return the mean and, of two values or more, the standard deviation."""
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


def progress_line(variant: str, seed: int, outcome: Outcome, *, epsilon_255: float) -> str:
    """Return the figures of one network, named as the columns of the table."""
    return (
        f"{_quoted(variant)}, seed {seed}: choice {outcome.choice:.3f}, accuracy"
        f" {outcome.accuracy:.3f}, clean {outcome.clean:.3f}, {epsilon_255:g}/255"
        f" {outcome.attacked:.3f}"
    )


def _quoted(*names: str) -> str:
    """Return names in quotes, as in a command: some have spaces and one has a comma."""
    return ", ".join(f'"{name}"' for name in names)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "variants",
        nargs="*",
        metavar="NAME",
        help=f'variants, by default all: {_quoted(*VARIANTS)}; "base" is always trained too',
    )
    parser.add_argument(
        "--seeds", type=positive, default=3, help="networks of each variant (default: %(default)s)"
    )
    parser.add_argument(
        "--inliers",
        type=at_least(LEAST_INLIERS),
        default=10_000,
        help=f"images of CIFAR-10, at least {LEAST_INLIERS} (default: %(default)s); {VALIDATION} of"
        f" them are for validation and {CALIBRATION} for calibration",
    )
    parser.add_argument(
        "--epochs", type=positive, default=8, help="of the training (default: %(default)s)"
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        default=2.0,
        help="budget of the attacks on both sides, in units of 1/255 (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=("bfloat16", "float32"),
        default="bfloat16",
        help="number type of the training (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.variants) - set(VARIANTS):
        parser.error(
            f"unknown variants: {_quoted(*sorted(unknown))}, expected one or more of"
            f" {_quoted(*VARIANTS)}"
        )
    console = Console(stderr=True)
    setting = Setting(
        inliers=options.inliers,
        epochs=options.epochs,
        epsilon_255=options.epsilon,
        precision=options.precision,
    )
    outcomes: dict[str, list[Outcome]] = {}
    for name in dict.fromkeys(["base", *(options.variants or VARIANTS)]):
        outcomes[name] = []
        for seed in range(1, options.seeds + 1):
            text = recipe(name, setting, seed=seed)
            outcomes[name].append(measure(text, setting, console))
            line = progress_line(name, seed, outcomes[name][-1], epsilon_255=setting.epsilon_255)
            console.print(line, highlight=False)
    print(table(outcomes, epsilon_255=setting.epsilon_255))


if __name__ == "__main__":
    with error_lines():
        main()
