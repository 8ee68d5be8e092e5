"""Fitted scores from one pass over the training images."""

from collections.abc import Sequence

import torch
from torch import nn

from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores import FITTED_SCORES
from oodguard.models.scores.base import FitContext, Score, ScoreOptions, of_logits
from oodguard.models.scores.build import check_score, unfitted_score
from oodguard.training.data.dataset import ImageSet, to_pixels
from oodguard.training.run_folder import RunFolder
from oodguard.training.scoring.graph import ScoredNetwork
from oodguard.training.scoring.network import trained_network

BATCH = 250


@torch.no_grad()
def fit_scores(
    network: Classifier,
    training: ImageSet,
    names: Sequence[str],
    *,
    options: ScoreOptions,
    seed: int,
) -> dict[str, nn.Module]:
    """Fit the scores `names` on the training images as they are, each `forward` being a `Score`.

    The network, in evaluation mode and float32, looks once at every image, in order and without
    augmentation, so that `evaluate` and `export` come to the same statistics. No names, no pass.

    Raises:
        RecipeError: the images do not determine a score.
    """
    if not names:
        return {}
    classes = len(training.classes)
    context = FitContext(
        features=network.features(to_pixels(training.images[:1])).shape[1],
        classes=classes,
        head=network.head,
        options=options,
        seed=seed,
    )
    accumulators = {name: FITTED_SCORES[name](context) for name in names}
    for images, labels in zip(
        training.images.split(BATCH), training.labels.split(BATCH), strict=True
    ):
        features = network.features(to_pixels(images))
        logits = network.head(features)[:, :classes]
        for accumulator in accumulators.values():
            accumulator.update(features, logits, labels)
    return {name: accumulator.finish() for name, accumulator in accumulators.items()}


def scored_classifier(run: RunFolder, training: ImageSet, names: Sequence[str]) -> ScoredNetwork:
    """Return the run's network with the scores `names`; fitted ones are fitted on `training`.

    Raises:
        RecipeError: there is no such score for this run, the run has no checkpoint, or the training
            images do not determine a score.
    """
    recipe = run.recipe
    for name in names:
        check_score(name, reject_class=recipe.reject_classes > 0)
    classes = len(training.classes)
    network = trained_network(run, classes=classes)
    fitted = fit_scores(
        network,
        training,
        [name for name in names if name in FITTED_SCORES],
        options=recipe.score_options,
        seed=recipe.seed,
    )
    scores: dict[str, Score] = {
        name: fitted[name]
        if name in fitted
        else of_logits(unfitted_score(name, recipe.score_options))
        for name in names
    }
    return ScoredNetwork(network, scores, classes=classes).eval()
