"""A finished run as a classifier with its scores, the same for evaluation and for export."""

from collections.abc import Sequence

from models.scores import FITTED_SCORES
from models.scores.base import Score, of_logits
from models.scores.build import check_score, unfitted_score
from training.checkpoint import RunFolder
from training.data import ImageSet
from training.fitting import fit_scores
from training.graph import ScoredClassifier
from training.trained import trained_network


def scored_classifier(run: RunFolder, training: ImageSet, names: Sequence[str]) -> ScoredClassifier:
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
    return ScoredClassifier(network, scores, classes=classes).eval()
