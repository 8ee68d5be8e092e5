"""Mahalanobis distance after input pre-processing."""

from oodguard.training.detectors.preprocessing import Detector, Preprocessed
from oodguard.training.scoring.graph import ScoredClassifier


def preprocessed_mahalanobis(classifier: ScoredClassifier, *, step: float = 0.002) -> Detector:
    """Return the detector of Lee et al. 2018, arXiv:1807.03888, for one layer.

    The image moves by `step` towards its nearest class mean before its distance is taken. Of the
    paper's layers this is the penultimate alone: it joins them by a regression on
    out-of-distribution images, by which it also chooses the step; .002 is one of those that it
    tries.

    Raises:
        KeyError: the classifier does not carry the score `mahalanobis`.
    """
    classifier.scores["mahalanobis"]  # now, and not at the first image
    return Preprocessed(score=lambda images: classifier.score("mahalanobis", images), step=step)
