"""Measure the detectors of the ALOE paper on networks without a defence, and compare the guards.

    python -m benchmarks.detectors measure BUNDLE [--outliers RECIPE] [--detector NAME ...]
    python -m benchmarks.detectors table

`measure` attacks each detector on its own score, both sides, as the suite `paper` does, at 1/255
and 2/255 and on half of its images, and adds the figures to docs/reports/NAME/detectors.json.
Mahalanobis distances are fitted on the training images of the bundle's recipe;
`layered_mahalanobis` also needs auxiliary outliers, those of the table [outliers] of the recipe
`--outliers`. On one thread; an interrupted run continues where it was. `table` prints the rows of
docs/results.md, together with those of the reports of the suite `paper`, and the improvement of
each guard over the best of them.
"""

import argparse
import hashlib
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.error_lines import error_lines
from benchmarks.layered_mahalanobis import fit_layered_mahalanobis
from benchmarks.network_target import inliers_of, network_of_bundle, network_target
from benchmarks.shipped import REPORTS, paper_report
from oodguard.models.bundle import open_bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import RecipeError
from oodguard.models.frozen_model import FrozenModel
from oodguard.models.networks.resnet import ResNet
from oodguard.models.scores import SCORE_NAMES
from oodguard.training.cli.progress import EvaluationBar
from oodguard.training.config.recipe import read_recipe
from oodguard.training.config.suites import SUITES
from oodguard.training.data.dataset import load
from oodguard.training.detectors import DETECTORS, Detector
from oodguard.training.evaluation.evaluate import evaluate
from oodguard.training.report.markdown import markdown_table, share
from oodguard.training.report.model import Condition, MeanAuroc
from oodguard.training.scoring.graph import ScoredClassifier

LAYERED = "layered_mahalanobis"
NAMES = ("odin", "mahalanobis", "preprocessed_mahalanobis", LAYERED)
"""The detectors that are measured by default: those that the reports do not have."""

SUITE = SUITES["paper"].model_copy(
    update={"budgets_255": (1.0, 2.0), "test_images": 200, "outlier_images": 100}
)
FILE = "detectors.json"
PARTS = Path(".detectors.parts")

TUNING_IMAGES = 1000
"""The images of each kind for the regression of `layered_mahalanobis`, as in the paper's code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The bundles of one data set, and the improvement that the abstract of the paper reports."""

    undefended: tuple[str, ...]
    guard: str
    paper: float


FAMILIES = {
    "CIFAR-10": Family(
        undefended=("cifar10-standard", "cifar10-oe"), guard="cifar10-aloe", paper=0.584
    ),
    "CIFAR-100": Family(
        undefended=("cifar100-standard", "cifar100-oe"), guard="cifar100-aloe-2", paper=0.4659
    ),
}


class MeasuredCondition(FrozenModel):
    """The AUROC under one budget with both sides attacked: the mean over the sets, and each set."""

    epsilon_255: float
    mean: MeanAuroc
    sets: dict[str, float]


class MeasuredDetector(FrozenModel):
    """A detector of one network; the clean condition first."""

    detector: str
    conditions: tuple[MeasuredCondition, ...]
    duration_s: float | None = None
    command: str = ""

    def mean(self, epsilon_255: float) -> MeanAuroc:
        """Return the mean AUROC under a budget."""
        return next(each.mean for each in self.conditions if each.epsilon_255 == epsilon_255)


class DetectorsReport(FrozenModel):
    """Detectors of one network; `measured` is the sha256 of its graph."""

    name: str
    measured: str
    results: tuple[MeasuredDetector, ...]

    def with_others_of(self, path: Path) -> "DetectorsReport":
        """Return this report with the other detectors of the same graph in an earlier file."""
        earlier = DetectorsReport.model_validate_json(path.read_bytes()) if path.exists() else None
        if earlier is None or earlier.measured != self.measured:
            return self
        found = {each.detector: each for each in (*earlier.results, *self.results)}
        return self.model_copy(update={"results": tuple(found.values())})


def measured_detector(name: str, conditions: tuple[Condition, ...]) -> MeasuredDetector:
    """Return the figures of a score in a report of an evaluation."""
    return MeasuredDetector(
        detector=name,
        conditions=tuple(
            MeasuredCondition(
                epsilon_255=each.epsilon_255,
                mean=each.mean[each.side],
                sets={key: each.auroc(key) for key in each.sets},
            )
            for each in conditions
        ),
    )


def measure(
    folder: Path, detectors: tuple[str, ...], outliers: Path | None, console: Console
) -> DetectorsReport:
    """Fit, attack and measure the detectors of a bundle's network.

    Raises:
        RecipeError: A detector does not exist or does not suit the network, or the data cannot be
            read.
    """
    bundle = open_bundle(folder)
    network, recipe = network_of_bundle(folder, bundle)
    inliers = inliers_of(recipe)
    scores = [name for name in detectors if name in SCORE_NAMES]
    if "preprocessed_mahalanobis" in detectors and "mahalanobis" not in scores:
        scores.append("mahalanobis")
    scores = scores or ["energy"]
    graph = hashlib.sha256(bundle.model).hexdigest()
    target = network_target(network, recipe, inliers, scores, measured=graph)
    if LAYERED in detectors:
        if not isinstance(network, ResNet):
            raise RecipeError(f"{folder}: {LAYERED} requires a single pass of a resnet network")
        source = read_recipe(outliers).outliers if outliers else None
        if source is None:
            raise RecipeError(
                f"--outliers is {outliers}, expected a recipe with a table [outliers]"
            )
        images = load(source, recipe.input).images
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(recipe.seed))
        layered = fit_layered_mahalanobis(
            network,
            inliers.training,
            inliers.validation.images[:TUNING_IMAGES],
            images[chosen[:TUNING_IMAGES]],
        )
        console.print(f"{LAYERED}: weights {layered.weights.tolist()}", highlight=False)
        own: Mapping[str, Callable[[ScoredClassifier], Detector]] = {LAYERED: lambda _: layered}
        target = replace(target, detectors={**DETECTORS, **own})
    bar = EvaluationBar(console)
    with bar.display:
        report, _ = evaluate(
            target,
            suite=SUITE,
            policy=Policy(score=scores[0]),
            observer=bar,
            other_scores=detectors,
            parts=PARTS / "-".join((bundle.manifest.name, *detectors)),
        )
    command = shlex.join(["python", "-m", "benchmarks.detectors", *sys.argv[1:]])
    of_each = {"duration_s": report.duration_s, "command": command}
    rows = [measured_detector(each.score, each.conditions) for each in report.results]
    return DetectorsReport(
        name=bundle.manifest.name,
        measured=graph,
        results=tuple(row.model_copy(update=of_each) for row in rows if row.detector in detectors),
    )


def rows_of(name: str) -> list[MeasuredDetector]:
    """Return the detectors of a bundle, from its report of the suite `paper` and from `measure`."""
    report, path = paper_report(name), REPORTS / name / FILE
    results = report.results if report else ()
    rows = [measured_detector(each.score, each.conditions) for each in results]
    if path.exists():
        rows += DetectorsReport.model_validate_json(path.read_bytes()).results
    return rows


def table() -> str:
    """Return a Markdown table of all detectors, and of the guards after them."""
    head = ["data", "network", "detector", "clean", "1/255", "95 % interval", "2/255"]
    return markdown_table([head, *(row for name in FAMILIES for row in _rows(name))])


def _rows(name: str) -> Iterator[list[str]]:
    family = FAMILIES[name]
    names = (*family.undefended, family.guard)
    for network, row in ((each, row) for each in names for row in rows_of(each)):
        interval = row.mean(1).auroc_interval
        yield [
            name,
            f"`{network}`",
            f"`{row.detector}`",
            share(row.mean(0).auroc),
            share(row.mean(1).auroc),
            f"{share(interval.low)} to {share(interval.high)}",
            share(row.mean(2).auroc),
        ]


def improvement(name: str, *, outlier_exposure: bool = True) -> str:
    """Return the improvement at 1/255 of a guard over the best detector, and its least value.

    The least value is the distance between the near ends of both 95 % intervals. Without
    `outlier_exposure` the detectors of networks that were trained with outliers do not count.
    """
    family = FAMILIES[name]
    names = [n for n in family.undefended if outlier_exposure or n.endswith("-standard")]
    rows = [row for name in names for row in rows_of(name)]
    best = max(rows, key=lambda row: row.mean(1).auroc)
    ours, theirs = rows_of(family.guard)[0].mean(1), best.mean(1)
    gain = ours.auroc - theirs.auroc
    least = ours.auroc_interval.low - theirs.auroc_interval.high
    return f"{share(gain)} (at least {share(least)}) over `{best.detector}` ({share(theirs.auroc)})"


def main() -> None:
    """Measure a network, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="action", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("bundle", type=Path)
    measuring.add_argument(
        "--detector", action="append", choices=(*SCORE_NAMES, *DETECTORS, LAYERED)
    )
    measuring.add_argument("--outliers", type=Path)
    commands.add_parser("table")
    options = parser.parse_args()
    if options.action == "table":
        print(table())
        for name, family in FAMILIES.items():
            print(f"{name}, at 1/255: {improvement(name)}; the paper: {share(family.paper)}.")
            alone = improvement(name, outlier_exposure=False)
            print(f"{name}, at 1/255, without outlier exposure: {alone}.")
        return
    torch.set_num_threads(1)
    names = tuple(options.detector or NAMES)
    report = measure(options.bundle, names, options.outliers, Console(stderr=True))
    path = REPORTS / report.name / FILE
    report = report.with_others_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with error_lines():
        main()
