"""The teacher of a run: the network of another run or of a bundle, as logits of images."""

import hashlib
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor, nn

from oodguard.models.bundle import MANIFEST, MODEL, open_bundle
from oodguard.models.errors import GuardError, RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.card import read_data_card
from oodguard.training.onnx_torch.classifier import BundleClassifier, bundle_classifier
from oodguard.training.run_folder import DATA, RECIPE, RunFolder
from oodguard.training.run_progress import WeightsOrigin
from oodguard.training.scoring.network import trained_network
from oodguard.training.training_split import TrainingSplit


@dataclass(frozen=True, kw_only=True, slots=True)
class Teacher:
    """A network in evaluation mode without gradients, and the file that it was read from.

    `network` maps images `(n, 3, H, W)` in [0, 1] to logits `(n, C)`, the reject class last if
    there is one. `split` is the one that it was trained with, None if that is not known.
    """

    network: nn.Module
    origin: WeightsOrigin
    split: TrainingSplit | None

    def sha256_with(self, data: str) -> str:
        """Return the hash of the teacher and of the data whose hash is `data`."""
        return hashlib.sha256(f"{data} {self.origin.sha256}".encode()).hexdigest()


class BundleLogits(nn.Module):
    """The logits of a bundle's graph, whose reject class is known by its score `abstain`."""

    def __init__(self, classifier: BundleClassifier, *, reject_class: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.reject_class = reject_class

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to logits `(n, K)`, or `(n, K + 1)`."""
        features, logits = self.classifier.features_and_outputs(images)
        if not self.reject_class:
            return logits
        log_odds = self.classifier.score_from_outputs("abstain", features, logits)
        reject = log_odds + torch.logsumexp(logits, dim=1)
        return torch.cat([logits, reject[:, None]], dim=1)


def read_teacher(recipe: Recipe, classes: tuple[str, ...]) -> Teacher | None:
    """Return the teacher that a recipe for `classes` names, or None.

    Raises:
        RecipeError: It is no finished run and no bundle that torch can run, or has other classes
            or another size.
    """
    if recipe.teacher is None:
        return None
    try:
        teacher = _read(recipe.teacher.weights.resolve(), recipe, classes)
    except GuardError as error:
        raise RecipeError(f"teacher.weights: {error}") from error
    teacher.network.eval().requires_grad_(requires_grad=False)
    return teacher


def _read(folder: Path, recipe: Recipe, classes: tuple[str, ...]) -> Teacher:
    if (folder / MANIFEST).exists():
        return _bundle_teacher(folder, recipe, classes)
    if (folder / RECIPE).exists():
        return _run_teacher(folder, recipe, classes)
    raise RecipeError(
        f"{folder} {_fault(folder)}, expected the folder of a run, with {RECIPE}, or of a bundle,"
        f" with {MANIFEST}"
    )


def _fault(path: Path) -> str:
    """Return why a path without these files is neither a run nor a bundle."""
    if not path.exists():
        return "is missing"
    return "has neither" if path.is_dir() else "is no folder"


def _bundle_teacher(folder: Path, recipe: Recipe, classes: tuple[str, ...]) -> Teacher:
    bundle = open_bundle(folder)
    manifest = bundle.manifest
    reject_class = "abstain" in manifest.scores
    _check_fit(
        folder,
        recipe,
        expected=classes,
        classes=manifest.classes,
        reject_class=reject_class,
        size=manifest.input,
    )
    return Teacher(
        network=BundleLogits(bundle_classifier(bundle), reject_class=reject_class),
        origin=WeightsOrigin(
            name=f"{folder.name}/{MODEL}", sha256=hashlib.sha256(bundle.model).hexdigest()
        ),
        split=TrainingSplit.of_bundle(bundle),
    )


def _run_teacher(folder: Path, recipe: Recipe, classes: tuple[str, ...]) -> Teacher:
    run = RunFolder(folder)
    taught, progress = run.recipe, run.progress()
    if len(progress.epochs) < taught.schedule.epochs:
        raise RecipeError(
            f"{folder} has {len(progress.epochs)} of {taught.schedule.epochs}"
            " epochs, expected a finished run. Continue it with fit --resume"
        )
    card = read_data_card(folder / DATA)
    if card is None or "inliers" not in card.sources:
        raise RecipeError(
            f"{folder / DATA} is {'missing' if card is None else 'without inliers'}, expected the"
            " classes of the run. Export the run, and use its bundle as the teacher"
        )
    _check_fit(
        folder,
        recipe,
        expected=classes,
        classes=tuple(card.sources["inliers"].classes),
        reject_class=taught.reject_classes > 0,
        size=taught.input,
    )
    return Teacher(
        network=trained_network(run, classes=len(classes)),
        origin=WeightsOrigin(name=f"{folder.name}/{progress.tensors}", sha256=run.weights_sha256()),
        split=TrainingSplit.of_run(run),
    )


def _check_fit(  # noqa: PLR0913  (by keyword)
    folder: Path,
    recipe: Recipe,
    *,
    expected: tuple[str, ...],
    classes: tuple[str, ...],
    reject_class: bool,
    size: InputSpec,
) -> None:
    """Check that a teacher of `classes` fits a recipe for the classes `expected`."""
    if classes != expected:
        pairs = zip_longest(classes, expected)
        at, pair = next((k, pair) for k, pair in enumerate(pairs) if len(set(pair)) > 1)
        found, required = ("none" if name is None else repr(name) for name in pair)
        raise RecipeError(
            f"{folder} has {len(classes)} classes, expected the {len(expected)} classes of the"
            f" inliers in their order. The first difference is class {at}: received {found},"
            f" expected {required}. Choose another teacher, or select the same classes in the"
            " recipe of the run with inliers.only or inliers.leave_out"
        )
    if reject_class != (recipe.reject_classes > 0):
        raise RecipeError(
            f"{folder} has {'a' if reject_class else 'no'} reject class, method"
            f" {recipe.method!r} requires {'none' if reject_class else 'one'}. Choose another"
            " teacher or method: aloe-abstain has a reject class, aloe has none"
        )
    if (size.height, size.width) != (recipe.input.height, recipe.input.width):
        raise RecipeError(
            f"{folder} has images of {size.width}x{size.height} pixels, expected those of [input],"
            f" {recipe.input.width}x{recipe.input.height}. Choose a teacher of this size"
        )
