"""Fit the scores that need statistics of the training images."""

from collections.abc import Sequence

import torch

from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores import FITTED_SCORES, check_score, unfitted_score
from oodguard.models.scores.base import FitContext, Score, ScoreOptions, of_logits
from oodguard.training.data.dataset import ImageSet, to_pixels
from oodguard.training.run_folder import RunFolder
from oodguard.training.scoring.graph import ScoredNetwork, evaluation_batch_size
from oodguard.training.scoring.network import trained_network


def scored_network(run: RunFolder, training: ImageSet, names: Sequence[str]) -> ScoredNetwork:
    """Return the network of a run with the scores `names`, fitted on `training` where needed.

    Raises:
        RecipeError: A score does not exist or does not suit the run, the run has no checkpoint,
            or the training images do not determine a score.
    """
    recipe = run.recipe
    for name in names:
        check_score(name, reject_class=recipe.reject_classes > 0)
    classes = len(training.classes)
    network = trained_network(run, classes=classes)
    scores = fit_scores(network, training, names, options=recipe.score_options, seed=recipe.seed)
    return ScoredNetwork(network, scores, classes=classes).eval()


@torch.no_grad()
def fit_scores(
    network: Classifier,
    training: ImageSet,
    names: Sequence[str],
    *,
    options: ScoreOptions,
    seed: int,
) -> dict[str, Score]:
    """Return the scores `names`; fit those that need it in one pass over the training images.

    The images are used in order and without augmentation, so that `evaluate` and `export` compute
    the same statistics. Scores that sample the images use `seed`. The network is in evaluation mode
    and float32.

    Raises:
        RecipeError: The images do not determine a score.
    """
    classes = len(training.classes)
    context = FitContext(
        features=network.features(to_pixels(training.images[:1])).shape[1],
        classes=classes,
        head=network.head,
        options=options,
        seed=seed,
    )
    accumulators = {name: FITTED_SCORES[name](context) for name in names if name in FITTED_SCORES}
    size = evaluation_batch_size(*training.images.shape[1:3])
    for images, labels in training.batches(size) if accumulators else ():
        features = network.features(to_pixels(images))
        logits = network.head(features)[:, :classes]
        for accumulator in accumulators.values():
            accumulator.update(features, logits, labels)
    return {
        name: accumulators[name].finish()
        if name in accumulators
        else of_logits(unfitted_score(name, options))
        for name in names
    }
