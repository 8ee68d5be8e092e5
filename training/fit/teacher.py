"""The teacher of a run: the network of another run or of a bundle, as logits of images."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from oodguard.models.bundle import MANIFEST, MODEL, open_bundle
from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.card import read_data_card
from oodguard.training.onnx_torch.classifier import BundleClassifier, bundle_classifier
from oodguard.training.run_folder import DATA, RunFolder
from oodguard.training.run_progress import WeightsOrigin
from oodguard.training.scoring.network import trained_network


@dataclass(frozen=True, kw_only=True, slots=True)
class Teacher:
    """A network in evaluation mode without gradients, and the file that it was read from.

    `network` maps images `(n, 3, H, W)` in [0, 1] to logits `(n, C)`, the reject class last if
    there is one.
    """

    network: nn.Module
    origin: WeightsOrigin


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
        RecipeError: It is no finished run and no bundle, or has other classes or another size.
        BundleError: The bundle does not verify, or torch cannot run its graph.
        CheckpointError: The checkpoint belongs to another network than the teacher's recipe.
    """
    if recipe.teacher is None:
        return None
    folder = recipe.teacher.weights
    if not folder.is_dir():
        raise RecipeError(
            f"teacher.weights: {folder} is not a folder, expected that of a run or of a bundle"
        )
    is_bundle = (folder / MANIFEST).exists()
    read = _bundle_teacher if is_bundle else _run_teacher
    teacher = read(folder, recipe, classes)
    teacher.network.eval().requires_grad_(requires_grad=False)
    return teacher


def _bundle_teacher(folder: Path, recipe: Recipe, classes: tuple[str, ...]) -> Teacher:
    bundle = open_bundle(folder)
    manifest = bundle.manifest
    _check_fit(
        folder,
        recipe,
        expected=classes,
        classes=manifest.classes,
        reject_class="abstain" in manifest.scores,
        size=manifest.input,
    )
    return Teacher(
        network=BundleLogits(bundle_classifier(bundle), reject_class="abstain" in manifest.scores),
        origin=WeightsOrigin(
            name=f"{folder.name}/{MODEL}", sha256=hashlib.sha256(bundle.model).hexdigest()
        ),
    )


def _run_teacher(folder: Path, recipe: Recipe, classes: tuple[str, ...]) -> Teacher:
    run = RunFolder(folder)
    taught, progress = run.recipe, run.progress()
    if len(progress.epochs) < taught.schedule.epochs:
        raise RecipeError(
            f"teacher.weights: {folder} has {len(progress.epochs)} of {taught.schedule.epochs}"
            " epochs, expected a finished run. Continue it with fit --resume"
        )
    card = read_data_card(folder / DATA)
    _check_fit(
        folder,
        recipe,
        expected=classes,
        classes=classes if card is None else tuple(card.sources["inliers"].classes),
        reject_class=taught.reject_classes > 0,
        size=taught.input,
    )
    return Teacher(
        network=trained_network(run, classes=len(classes)),
        origin=WeightsOrigin(name=f"{folder.name}/{progress.tensors}", sha256=run.weights_sha256()),
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
    origin = f"teacher.weights: {folder}"
    if classes != expected:
        different = next((a for a in classes if a not in expected), None)
        detail = f", among them {different!r}, which the inliers do not have" if different else ""
        raise RecipeError(
            f"{origin} has {len(classes)} classes{detail}, expected the {len(expected)} classes of"
            " the inliers in their order"
        )
    if reject_class != (recipe.reject_classes > 0):
        found, required = ("a", "none") if reject_class else ("no", "one")
        raise RecipeError(
            f"{origin} has {found} reject class, method {recipe.method!r} requires {required}"
        )
    if (size.height, size.width) != (recipe.input.height, recipe.input.width):
        raise RecipeError(
            f"{origin} has images of {size.width}x{size.height} pixels, expected those of [input],"
            f" {recipe.input.width}x{recipe.input.height}"
        )
