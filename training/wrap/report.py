"""Calibration on one half of the images, clean figures on the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.decision import Policy, threshold
from oodguard.models.manifest import Description
from oodguard.training.data.dataset import ImageSet
from oodguard.training.report.card import percent
from oodguard.training.report.metrics import auroc, false_rejection_rate, missed_ood_rate
from oodguard.training.scoring.parity import in_batches


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CleanResult(_Frozen):
    """One out-of-distribution set against the measured half, unattacked."""

    images: int
    auroc: float
    missed_ood_rate: float


class ScoreFigures(_Frozen):
    """One score at the threshold that the policy sets for it, on images that set no threshold."""

    threshold: float
    false_rejection_rate: float
    sets: dict[str, CleanResult]


class WrapReport(_Frozen):
    """The figures of a wrapped classifier: clean ones alone.

    `attacked` says that nothing was measured under attack: wrapping takes a minute, an attack
    longer, and `evaluate` makes it on the bundle.
    """

    kind: Literal["wrapped"] = "wrapped"
    attacked: Literal["not measured"] = "not measured"
    score: str
    alpha: float
    delta: float | None
    pixels: str
    outputs: str
    calibration_images: int
    accuracy: float
    accuracy_images: int
    chance: float
    scores: dict[str, ScoreFigures]
    hardware: str
    command: str

    @property
    def hardly_better_than_chance(self) -> bool:
        """Whether mean, std, scale or class order are probably not the classifier's."""
        return self.accuracy < 2 * self.chance


WARNING = (
    "**Not hardened, and no attack was measured.** This is somebody's classifier with"
    " out-of-distribution scores added to its graph; its weights are unchanged. A perturbation that"
    " nobody can see can make such a classifier reject what it knows and accept what it does not"
    " know, with any of these scores. The figures below are of clean images alone;"
    " `oodguard-train evaluate BUNDLE --recipe RECIPE` attacks its graph."
)


def write_wrapped_card(description: Description, report: WrapReport) -> str:
    """Return the card in Markdown."""
    training = description.training
    facts = {
        **{
            f"original `{name}`": f"sha256 `{record.sha256}`, {record.bytes:,} bytes"
            for name, record in (training.origin or {}).items()
        },
        "how it was trained": "unknown here",
        "classes": ", ".join(description.classes),
        "input": f"uint8 RGB, {description.input.height}x{description.input.width};"
        f" other sizes: {description.input.fit}, {description.input.resample}",
        "pixels of the classifier": report.pixels,
        "its outputs": report.outputs,
        "parameters": f"{training.parameters:,}",
        "command": f"`{training.command}`",
        "libraries": ", ".join(f"{name} {v}" for name, v in training.libraries.items()),
    }
    return "\n\n".join(
        (
            f"# {description.name}, version {description.version}",
            WARNING,
            "\n".join(
                ("| fact | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in facts.items()))
            ),
            "## Figures",
            wrapped_figures(report),
            "## What the decision promises",
            _promise(report),
        )
    )


def wrapped_figures(report: WrapReport) -> str:
    """Return the clean table with the conditions that it was measured under."""
    names = list(report.scores)
    columns = list(report.scores.values())
    rows = [
        ["set", *(f"{name}{' (decides)' if name == report.score else ''}" for name in names)],
        ["---", *("---" for _ in names)],
        *([key, *(_cell(column, key) for column in columns)] for key in columns[0].sets),
        ["false rejections", *(percent(column.false_rejection_rate) for column in columns)],
        ["threshold", *(f"{column.threshold:.6g}" for column in columns)],
    ]
    parts = [
        f"Clean accuracy {percent(report.accuracy)} ({report.accuracy_images:,} images that set no"
        f" threshold; chance: {percent(report.chance)}). Alpha {percent(report.alpha)}"
        + (f" with confidence {percent(1 - report.delta)}" if report.delta else "")
        + f" from {report.calibration_images:,} calibration images.",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        _key(report) + f" Measured with `{report.command}` on {report.hardware}.",
    ]
    if report.hardly_better_than_chance:
        parts.insert(1, f"**Warning:** {CHANCE_WARNING}")
    return "\n\n".join(parts)


CHANCE_WARNING = (
    "the accuracy is below twice chance, so the classifier probably does not see what it was"
    " trained on: check --mean, --std, --scale, --layout and the order of --classes."
)


def _cell(column: ScoreFigures, key: str) -> str:
    result = column.sets[key]
    return f"{result.auroc:.3f}".removeprefix("0") + f" / {percent(result.missed_ood_rate)}"


def _key(report: WrapReport) -> str:
    if not next(iter(report.scores.values())).sets:
        return "No out-of-distribution images were given, so none were measured (`--outliers`)."
    return "Each cell: AUROC / missed OOD at the threshold, clean; under attack: not measured."


def _promise(report: WrapReport) -> str:
    confidence = f"with {percent(1 - report.delta)} confidence, " if report.delta else ""
    found = report.scores[report.score]
    return (
        f"Of clean images drawn like the calibration images, {confidence}at most"
        f" {percent(report.alpha)} are rejected; of the other half of the images"
        f" {percent(found.false_rejection_rate)} were. Nothing is promised about how many"
        " out-of-distribution images are missed, and nothing about images under attack.\n"
    )


BATCH = 64

Columns = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutHalves:
    """Held-out images in two: `calibration` sets the threshold, `test` tells what it does."""

    calibration: ImageSet
    test: ImageSet
    test_labels: Tensor

    @classmethod
    def of(cls, images: ImageSet, labels: Tensor, *, seed: int) -> Self:
        """Divide at random; an odd image is measured on."""
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        half = len(images) // 2
        return cls(
            calibration=images.subset(order[:half]),
            test=images.subset(order[half:]),
            test_labels=labels[order[half:]],
        )


def predict(
    run: RunGraph, images: ImageSet, names: Sequence[str]
) -> tuple[NDArray[np.int64], Columns]:
    """Return the predicted classes `(n,)` and the score columns `(n,)` by name."""
    logits, scores = in_batches(run, images.images.numpy(), BATCH)
    return logits.argmax(axis=1), {name: scores[:, at] for at, name in enumerate(names)}


def score_figures(
    name: str,
    *,
    policy: Policy,
    calibration: Columns,
    inside: Columns,
    outside: Mapping[str, Columns],
) -> ScoreFigures:
    """Measure one score.

    Raises:
        CalibrationError: too few calibration images for the policy.
    """
    limit = threshold(np.sort(calibration[name]), policy)
    return ScoreFigures(
        threshold=limit,
        false_rejection_rate=false_rejection_rate(inside[name], limit),
        sets={
            key: CleanResult(
                images=len(columns[name]),
                auroc=auroc(inside[name], columns[name]),
                missed_ood_rate=missed_ood_rate(columns[name], limit),
            )
            for key, columns in outside.items()
        },
    )
