"""Fitted scores from one pass over the training images."""

from collections.abc import Sequence

import torch
from torch import nn

from models.networks.classifier import Classifier
from models.scores import FITTED_SCORES
from models.scores.base import FitContext
from models.scores.options import ScoreOptions
from training.data import ImageSet, to_pixels

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
