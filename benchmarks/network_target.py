"""A network as the target of an evaluation, with any scores, on the data of a recipe.

`evaluate` measures runs and bundles by the scores in their graph. The benchmarks also measure
scores that a bundle does not have, and networks that were trained elsewhere.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from oodguard.models.bundle import Bundle
from oodguard.models.errors import RecipeError
from oodguard.models.networks.classifier import Classifier, Mirrored
from oodguard.training.config.recipe import Recipe, recipe_of_bundle
from oodguard.training.data.dataset import Split, load, split
from oodguard.training.evaluation.target import EvaluationTarget
from oodguard.training.exported_weights import unfold
from oodguard.training.scoring.fit_scores import fit_scores
from oodguard.training.scoring.graph import ScoredNetwork, torch_run
from oodguard.training.scoring.network import build_recipe_network
from oodguard.training.scoring.parity import calibrate
from oodguard.training.weights import load_weights, read_initial_weights


def network_of_bundle(folder: Path, bundle: Bundle) -> tuple[Classifier, Recipe]:
    """Return the network that a bundle was exported from, in evaluation mode, and its recipe.

    Raises:
        RecipeError: The bundle has no recipe, as wrapped ones have not.
        CheckpointError: The weights do not fit the network, or the bundle is INT8.
    """
    recipe = recipe_of_bundle(bundle)
    if recipe is None:
        raise RecipeError(f"{folder}: the bundle has no recipe, expected one that trained it")
    network = build_recipe_network(recipe, classes=len(bundle.manifest.classes))
    examples = torch.rand(2, 3, recipe.input.height, recipe.input.width)
    tensors, _ = unfold(network, read_initial_weights(folder).tensors, examples)
    load_weights(network, tensors, origin=str(folder))
    network = Mirrored(network) if recipe.network.mirror else network
    return network.eval().requires_grad_(requires_grad=False), recipe


def inliers_of(recipe: Recipe) -> Split:
    """Return the inliers of a recipe in the same parts as in its training."""
    return split(load(recipe.inliers, recipe.input), recipe.inliers, seed=recipe.seed)


def network_target(
    network: Classifier, recipe: Recipe, inliers: Split, scores: Sequence[str], *, measured: str
) -> EvaluationTarget:
    """Return a network, in evaluation mode, as a target; the first of `scores` decides.

    Fitted scores are fitted on the training images, and the threshold of each score is set by the
    calibration images. The rounded images are scored by torch instead of ONNX Runtime. `measured`
    identifies the weights.

    Raises:
        RecipeError: There is no such score, or the images do not determine it.
    """
    classes = inliers.training.classes
    fitted = fit_scores(
        network, inliers.training, scores, options=recipe.score_options, seed=recipe.seed
    )
    classifier = ScoredNetwork(network, fitted, classes=len(classes)).eval()
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    run = torch_run(classifier)
    return EvaluationTarget(
        name=recipe.name,
        measured=measured,
        default_score=scores[0],
        recipe=recipe,
        spec=recipe.input,
        recipe_text="",
        classifier=classifier,
        classes=classes,
        rows=calibrate(run, inliers.calibration, scores, classes),
        held_out=inliers.calibration,
        onnx_run=run,
    )
