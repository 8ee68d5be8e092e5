"""What is measured: a finished run or an exported bundle, brought to one form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.bundle import MANIFEST, open_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.decision import Policy, threshold
from oodguard.models.errors import RecipeError
from oodguard.models.scores import SCORE_NAMES
from oodguard.models.scores.build import check_score
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.attacks.objectives import (
    acceptance_objectives,
    rejection_objective,
    score_objective,
)
from oodguard.training.config.recipe import Recipe, parse_recipe
from oodguard.training.data.dataset import ImageSet, load, split, to_pixels
from oodguard.training.detectors import DETECTORS
from oodguard.training.detectors.preprocessing import Detector
from oodguard.training.export.onnx import to_onnx
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.run_folder import RunFolder
from oodguard.training.scoring.fit_scores import scored_classifier
from oodguard.training.scoring.graph import ScoredClassifier, torch_run
from oodguard.training.scoring.network import frozen
from oodguard.training.scoring.parity import calibration_scores, onnx_run


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreUnderTest:
    """One score, higher more OOD; images above `threshold` are rejected.

    `rejected` is climbed by an attack on in-distribution images and `accepted` by one on outliers,
    of which the first is the direct one and those that follow aim at one class each. `column` is
    the score's place in the served graph, None where the graph does not have it.
    """

    name: str
    threshold: float
    value: Detector
    rejected: AttackObjective
    accepted: tuple[AttackObjective, ...]
    column: int | None


def score_under_test(
    classifier: ScoredClassifier, name: str, *, threshold: float, columns: tuple[str, ...]
) -> ScoreUnderTest:
    """Return a score of the graph under examination; `columns` are the graph's."""

    def value(images: Tensor) -> Tensor:
        return classifier.score(name, images)

    return ScoreUnderTest(
        name=name,
        threshold=threshold,
        value=value,
        rejected=rejection_objective(classifier, name),
        accepted=acceptance_objectives(classifier, name),
        column=columns.index(name),
    )


def detector_under_test(name: str, detector: Detector, *, threshold: float) -> ScoreUnderTest:
    """Return a detector that is in no graph under examination; it is attacked itself."""
    return ScoreUnderTest(
        name=name,
        threshold=threshold,
        value=detector,
        rejected=score_objective(detector, sign=1),
        accepted=(score_objective(detector, sign=-1),),
        column=None,
    )


def values(judged: ScoreUnderTest, pixels: Tensor) -> Tensor:
    """Score images `(n, 3, H, W)` in [0, 1] as `(n,)`, detached."""
    # Not under no_grad: a detector with input pre-processing asks for a gradient of its own.
    with torch.enable_grad():
        return judged.value(pixels).detach()


BATCH = 250

NEEDS = {"preprocessed_mahalanobis": "mahalanobis"}
"""The score of the graph that a detector outside it is made of, where it is not the logits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationTarget:
    """A classifier with its scores, the served graph, and where its data come from.

    `measured` is "run" or the sha256 of the bundle. `calibration` maps the scores of the graph, in
    its order, to held-out in-distribution scores `(n,)`, ascending. `held_out` are their images,
    None where only their scores are known.
    """

    name: str
    measured: str
    default_score: str
    recipe: Recipe
    recipe_text: str
    classifier: ScoredClassifier
    classes: tuple[str, ...]
    calibration: Mapping[str, NDArray[np.float32]]
    held_out: ImageSet | None
    serve: RunGraph

    @property
    def calibration_images(self) -> int:
        """How many images the thresholds were set on."""
        return len(next(iter(self.calibration.values())))

    def judged(self, name: str, policy: Policy) -> ScoreUnderTest:
        """Return a score or detector by its name, at the threshold that the policy sets for it.

        Raises:
            RecipeError: it is not there.
            CalibrationError: too few calibration images for the policy.
        """
        if name in self.calibration:
            limit = threshold(self.calibration[name], policy)
            columns = tuple(self.calibration)
            return score_under_test(self.classifier, name, threshold=limit, columns=columns)
        comparable = [each for each in DETECTORS if self._can_be_made(each)]
        if name not in comparable:
            raise RecipeError(
                f"score: came {name!r}; {self.name} has {', '.join(self.calibration)}, to be"
                f" compared with {', '.join(comparable)}"
            )
        detector = DETECTORS[name](self.classifier)
        with frozen(self.classifier):
            parts = [
                detector(to_pixels(part)).detach()
                for part in self._calibration_images().split(BATCH)
            ]
        limit = threshold(np.sort(torch.cat(parts).numpy()), policy)
        return detector_under_test(name, detector, threshold=limit)

    def _can_be_made(self, detector: str) -> bool:
        return detector not in NEEDS or NEEDS[detector] in self.calibration

    def _calibration_images(self) -> torch.Tensor:
        if self.held_out is not None:
            return self.held_out.images
        inliers = load(self.recipe.inliers, self.recipe.input)
        return split(inliers, self.recipe.inliers, seed=self.recipe.seed).calibration.images


def run_target(run: RunFolder, score: str, others: Sequence[str] = ()) -> EvaluationTarget:
    """Return a finished run; its graph has `score` and what `others` need of it, fitted anew.

    Raises:
        RecipeError: there is no such score, its data cannot be read, or the run has no checkpoint.
    """
    recipe = run.recipe
    # Before anything is loaded.
    check_score(score, reject_class=recipe.reject_classes > 0)
    needed = dict.fromkeys((score, *(NEEDS.get(name, name) for name in others)))
    in_graph = tuple(name for name in needed if name in SCORE_NAMES)
    inliers = load(recipe.inliers, recipe.input)
    parts = split(inliers, recipe.inliers, seed=recipe.seed)
    classifier = scored_classifier(run, parts.training, in_graph)
    graph = to_onnx(classifier, recipe.input)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    held_out = parts.calibration
    return EvaluationTarget(
        name=recipe.name,
        measured="run",
        default_score=recipe.default_score,
        recipe=recipe,
        recipe_text=run.recipe_text,
        classifier=classifier,
        classes=inliers.classes,
        calibration=calibration_scores(torch_run(classifier), held_out, in_graph),
        held_out=held_out,
        serve=onnx_run(graph),
    )


def bundle_target(folder: Path, recipe_text: str | None) -> EvaluationTarget:
    """Return an exported bundle, on the data of its own recipe or of the one that is given.

    Its thresholds are those that it is served with.

    Raises:
        BundleError: it does not verify, or torch cannot run its graph.
        RecipeError: it tells no recipe and none was given, or the recipe does not parse.
    """
    bundle = open_bundle(folder)
    text = recipe_text or _own_recipe(bundle.evaluation, folder)
    return EvaluationTarget(
        name=bundle.manifest.name,
        measured=bundle.sha256,
        default_score=bundle.manifest.default_score,
        recipe=parse_recipe(text, origin=f"the recipe of {folder}"),
        recipe_text=text,
        classifier=bundle_classifier(bundle),
        classes=bundle.manifest.classes,
        calibration={name: bundle.calibration[name] for name in bundle.manifest.scores},
        held_out=None,
        serve=onnx_run(bundle.model),
    )


def is_bundle(folder: Path) -> bool:
    """Say whether a folder looks like a bundle rather than a run."""
    return (folder / MANIFEST).exists()


def _own_recipe(evaluation: Mapping[str, object], folder: Path) -> str:
    text = evaluation.get("recipe")
    if not isinstance(text, str):
        raise RecipeError(
            f"{folder} does not say which data it is measured on: give --recipe with its"
            " [evaluation] sources"
        )
    return text
