"""The evaluation target: a finished run or an exported bundle in one form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from oodguard.models.bundle import EVALUATION as EVALUATION_FILE
from oodguard.models.bundle import MANIFEST, MODEL, open_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.models.policy_thresholds import rows_threshold
from oodguard.models.scores import SCORE_NAMES, check_score
from oodguard.models.validation_errors import describe_error
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.attacks.objectives import (
    acceptance_objectives,
    rejection_objective,
    score_objective,
)
from oodguard.training.config.recipe import EvaluationRecipe, Recipe, parse_evaluation_recipe
from oodguard.training.data.card import EVALUATION, SourceNotes, read_data_card
from oodguard.training.data.dataset import ImageSet, load, split, to_pixels
from oodguard.training.detectors import DETECTORS, Detector
from oodguard.training.evaluation.black_box import BlackBoxClassifier, DistilledSurrogate
from oodguard.training.export.onnx import to_onnx
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.onnx_torch.node import UnsupportedGraph
from oodguard.training.run_folder import DATA, RunFolder
from oodguard.training.run_progress import WeightsOrigin
from oodguard.training.scoring.fit_scores import scored_network
from oodguard.training.scoring.graph import ScoredClassifier, evaluation_batch_size, torch_run
from oodguard.training.scoring.network import frozen
from oodguard.training.scoring.parity import (
    calibrate,
    calibration_groups,
    check_calibration,
    onnx_run,
)
from oodguard.training.training_split import inliers_sha256, recorded_origins

REQUIRED_SCORES = {"preprocessed_mahalanobis": "mahalanobis"}
"""The score of the graph that a detector needs, if it does not use the logits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreUnderTest:
    """A score or detector, its threshold and the objectives of attacks on it.

    Attributes:
        rejection: Objective of attacks on in-distribution images.
        acceptance: Objectives of attacks on outliers: the direct one, then one per class.
        column: Column of the score in the served graph; None if the graph does not have it.
    """

    name: str
    threshold: float
    detector: Detector
    rejection: AttackObjective
    acceptance: tuple[AttackObjective, ...]
    column: int | None

    def values(self, pixels: Tensor) -> Tensor:
        """Score images `(n, 3, H, W)` in [0, 1] as `(n,)`, detached."""
        # A detector with input pre-processing needs a gradient.
        with torch.enable_grad():
            return self.detector(pixels).detach()


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationTarget:
    """A classifier with its scores, its served graph and its data.

    Attributes:
        measured: "run", or the sha256 of the bundle.
        weights: The sha256 of the checkpoint of a run, or of the model.onnx of a bundle; None for
            another network.
        default_score: The score that decides unless another is chosen.
        recipe: Names the data.
        spec: The rule by which images are prepared.
        classifier: Torch module with gradients.
        rows: The calibration images, with their scores in graph order.
        held_out: Images of the calibration scores; None: to be loaded by the recipe.
        onnx_run: The served graph in ONNX Runtime.
        method: The training method, or "wrapped".
        trained_epsilon: The L-infinity radius of the training attack in [0, 1] pixel units, 0
            without one.
        training_accuracy: That of the last epoch of a run.
        finished_epochs: The number of finished epochs of a run that is not finished; else None.
        inliers: The hash of the inliers of the training, see `training_split`; None if unknown.
        teacher: The network that the run or the bundle learned from, or None.
        started_from: The weights that its training started from, or None.
        straight_through: Whether gradients are those of an INT8 graph without its rounding.
        black_box: The reason why torch cannot run the graph; None if it can.
        notes: The images that `fit` left out of each source, by its key; empty if unknown.
        detectors: Factories of the detectors outside the graph, by name.
        surrogate: The network that imitates a black box, once it was distilled.
    """

    name: str
    measured: str
    default_score: str
    recipe: Recipe | EvaluationRecipe
    spec: InputSpec
    recipe_text: str
    classifier: ScoredClassifier
    classes: tuple[str, ...]
    rows: CalibrationRows
    held_out: ImageSet | None
    onnx_run: RunGraph
    weights: str | None = None
    method: str | None = None
    trained_epsilon: float = 0.0
    training_accuracy: float | None = None
    finished_epochs: int | None = None
    inliers: str | None = None
    teacher: WeightsOrigin | None = None
    started_from: WeightsOrigin | None = None
    straight_through: bool = False
    black_box: str | None = None
    notes: Mapping[str, SourceNotes] = field(default_factory=dict)
    detectors: Mapping[str, Callable[[ScoredClassifier], Detector]] = field(
        default_factory=lambda: DETECTORS
    )
    surrogate: DistilledSurrogate | None = None

    @property
    def calibration(self) -> Mapping[str, NDArray[np.float32]]:
        """The scores `(n,)` of the calibration images, ascending, by score in graph order."""
        return self.rows.ordered()

    def score_under_test(self, name: str, policy: Policy) -> ScoreUnderTest:
        """Return a score or detector with the threshold that the policy sets for it.

        Raises:
            RecipeError: There is no such score or detector.
            CalibrationError: There are too few calibration images for the policy.
        """
        if name in self.calibration:
            return ScoreUnderTest(
                name=name,
                threshold=rows_threshold(self.rows, name, policy),
                detector=lambda images: self.classifier.score(name, images),
                rejection=rejection_objective(self.classifier, name),
                acceptance=acceptance_objectives(self.classifier, name),
                column=list(self.calibration).index(name),
            )
        detectors = () if self.black_box else self.detectors  # they need gradients
        available = [each for each in detectors if self._has_required_score(each)]
        if name not in available:
            raise RecipeError(
                f"score: received {name!r}, expected one of {', '.join(self.calibration)} (in the"
                f" graph of {self.name}) or {', '.join(available)} (for comparison)"
            )
        detector = self.detectors[name](self.classifier)
        images = self._calibration_images()
        held_out = images.images[:]
        size = evaluation_batch_size(*held_out.shape[1:3])
        with frozen(self.classifier):
            parts = [detector(to_pixels(batch)).detach() for batch in held_out.split(size)]
        rows = CalibrationRows(
            scores={name: torch.cat(parts).numpy()}, groups=calibration_groups(images)
        )
        return ScoreUnderTest(
            name=name,
            threshold=rows_threshold(rows, name, policy),
            detector=detector,
            rejection=score_objective(detector, sign=1),
            acceptance=(score_objective(detector, sign=-1),),
            column=None,
        )

    def _has_required_score(self, detector: str) -> bool:
        return detector not in REQUIRED_SCORES or REQUIRED_SCORES[detector] in self.calibration

    def _calibration_images(self) -> ImageSet:
        if self.held_out is not None:
            return self.held_out
        if not isinstance(self.recipe, Recipe):
            raise RecipeError(
                "--recipe has no table [inliers], which names the calibration images of detectors"
                f" that are not in the graph of {self.name}. Give a whole recipe, or remove them"
                " from --beside"
            )
        inliers = self.recipe.inliers
        parts = split(load(inliers, self.spec), inliers, seed=self.recipe.seed)
        found = calibrate(self.onnx_run, parts.calibration, list(self.calibration), self.classes)
        check_calibration(self.calibration, found.ordered())
        return parts.calibration


def run_target(run: RunFolder, score: str, others: Sequence[str] = ()) -> EvaluationTarget:
    """Return a finished run as a target.

    Its graph has `score` and the scores that `others`, scores or detectors, need. Fitted scores are
    fitted again.

    Raises:
        RecipeError: There is no such score, its data cannot be read, or the run has no checkpoint.
    """
    recipe = run.recipe
    weights = run.weights_sha256()  # first: those of a later checkpoint do not match
    check_score(score, reject_class=recipe.reject_classes > 0)  # before anything is loaded
    needed = dict.fromkeys((score, *(REQUIRED_SCORES.get(name, name) for name in others)))
    in_graph = tuple(name for name in needed if name in SCORE_NAMES)
    inliers = load(recipe.inliers, recipe.input)
    parts = split(inliers, recipe.inliers, seed=recipe.seed)
    classifier = scored_network(run, parts.training, in_graph)
    card = read_data_card(run.folder / DATA)
    graph = to_onnx(classifier, recipe.input)
    progress = run.progress()
    epochs = progress.epochs
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    return EvaluationTarget(
        name=recipe.name,
        measured="run",
        weights=weights,
        default_score=recipe.default_score,
        recipe=recipe,
        spec=recipe.input,
        recipe_text=run.recipe_text,
        classifier=classifier,
        classes=inliers.classes,
        rows=calibrate(torch_run(classifier), parts.calibration, in_graph, inliers.classes),
        held_out=parts.calibration,
        onnx_run=onnx_run(graph),
        method=recipe.method,
        trained_epsilon=recipe.attack.epsilon if recipe.attack else 0.0,
        training_accuracy=next((epoch.training_accuracy for epoch in reversed(epochs)), None),
        finished_epochs=len(epochs) if len(epochs) < recipe.schedule.epochs else None,
        inliers=inliers_sha256(card, recipe),
        teacher=progress.teacher,
        started_from=progress.started_from,
        notes=card.sources if card else {},
    )


def bundle_target(folder: Path, recipe_text: str | None) -> EvaluationTarget:
    """Return an exported bundle as a target, with the thresholds that it is served with.

    `recipe_text` is a recipe that names other data; None: the recipe inside the bundle.

    Raises:
        BundleError: The bundle does not verify.
        RecipeError: There is no recipe, or it does not parse.
    """
    bundle = open_bundle(folder)
    text = recipe_text or _own_recipe(bundle.evaluation, folder)
    recipe = parse_evaluation_recipe(text, origin=f"the recipe of {folder}")
    run, black_box = onnx_run(bundle.model), None
    inliers = bundle.evaluation.get("inliers")
    origins = recorded_origins(bundle.evaluation)
    classifier: ScoredClassifier
    try:
        classifier = bundle_classifier(bundle)
    except UnsupportedGraph as error:
        black_box = str(error)
        classifier = BlackBoxClassifier(
            run, bundle.manifest.scores, classes=len(bundle.manifest.classes)
        )
    return EvaluationTarget(
        name=bundle.manifest.name,
        measured=bundle.sha256,
        weights=bundle.manifest.files[MODEL].sha256,
        default_score=bundle.manifest.default_score,
        recipe=recipe,
        spec=bundle.manifest.input,  # as the service prepares images for this bundle
        recipe_text=text,
        classifier=classifier,
        classes=bundle.manifest.classes,
        rows=bundle.rows,
        held_out=None,
        onnx_run=run,
        straight_through=bundle.manifest.precision == "int8" and black_box is None,
        black_box=black_box,
        method=bundle.manifest.training.method,
        trained_epsilon=bundle.manifest.training.epsilon,
        inliers=inliers if isinstance(inliers, str) else None,
        notes=_training_notes(bundle.evaluation, folder),
        teacher=origins["teacher"],
        started_from=origins["started_from"],
    )


def _training_notes(evaluation: Mapping[str, object], folder: Path) -> dict[str, SourceNotes]:
    """Return what was left out of the training data, from the evaluation inside a bundle.

    Raises:
        RecipeError: A record is invalid.
    """
    data = evaluation.get("data")
    sources = data.items() if isinstance(data, dict) else ()
    try:
        return {
            key: SourceNotes.model_validate(notes)
            for key, notes in sources
            if not key.startswith(EVALUATION)
        }
    except ValidationError as error:
        cause = describe_error(error.errors()[0])
        raise RecipeError(f"{folder / EVALUATION_FILE} is invalid: {cause}") from error


def is_bundle(folder: Path) -> bool:
    """Return whether a folder is a bundle rather than a run."""
    return (folder / MANIFEST).exists()


def _own_recipe(evaluation: Mapping[str, object], folder: Path) -> str:
    text = evaluation.get("recipe")
    if not isinstance(text, str):
        raise RecipeError(
            f"{folder}: the bundle has no recipe that names its evaluation data. Give --recipe FILE"
            " with a table [evaluation]: test = { folder = ... } and outliers.NAME = { folder = ..."
            " } for each out-of-distribution set"
        )
    return text
