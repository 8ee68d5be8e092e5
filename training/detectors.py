"""Detectors that need gradients to score: evaluated for comparison, never served."""

from collections.abc import Callable, Mapping

from torch import Tensor

from oodguard.models.scores.logit_scores import msp_log_odds
from oodguard.training.attacks.base import value_and_gradient
from oodguard.training.scoring.graph import ScoredClassifier

Detector = Callable[[Tensor], Tensor]
"""Images `(n, 3, H, W)` in [0, 1] to scores `(n,)`; higher is more OOD; differentiable."""


def with_preprocessing(score: Detector, *, step: float) -> Detector:
    """Return s(x - step sign(grad s(x))): the score s after one step that decreases it.

    Liang et al. 2018, arXiv:1706.02690: the score of an in-distribution image decreases more. As in
    the paper's code the moved image is not clamped to [0, 1].

    The derivative of sign() is zero wherever it exists, so the gradient passes straight through the
    step: it is that of s at the moved image, and an attack can use it. The caller freezes the
    network with `scoring.network.frozen`. The step is in [0, 1] pixel units.
    """

    def detector(images: Tensor) -> Tensor:
        no_rows = images.new_empty(0)  # the score has no per-image data to look up
        _, gradient = value_and_gradient(lambda moved, _: score(moved), images, no_rows)
        return score(images - step * gradient.sign())

    return detector


def odin(
    classifier: ScoredClassifier, *, temperature: float = 1000.0, step: float = 0.0014
) -> Detector:
    """Return ODIN with the defaults of the paper: Liang et al. 2018, arXiv:1706.02690.

    The score is log((1 - p) / p) of the largest probability p of softmax(z / T) after input
    pre-processing. The paper's -p gives the same ranking and the same step, but at T = 1000 every
    p is close to 1 / K: in float32, -p would have many ties and a coarse gradient.
    """
    return with_preprocessing(
        lambda images: msp_log_odds(classifier.features_and_logits(images)[1] / temperature),
        step=step,
    )


def preprocessed_mahalanobis(classifier: ScoredClassifier, *, step: float = 0.002) -> Detector:
    """Return the Mahalanobis distance after input pre-processing.

    Lee et al. 2018, arXiv:1807.03888, but for the penultimate layer only. The paper combines all
    layers by a regression on out-of-distribution images and selects the step on them; 0.002 is one
    of its candidates.

    Raises:
        KeyError: The classifier does not have the score `mahalanobis`.
    """
    classifier.scores["mahalanobis"]  # fail here, not at the first image
    return with_preprocessing(lambda images: classifier.score("mahalanobis", images), step=step)


DETECTORS: Mapping[str, Callable[[ScoredClassifier], Detector]] = {
    "odin": odin,
    "preprocessed_mahalanobis": preprocessed_mahalanobis,
}
"""Factories of detectors by name."""
