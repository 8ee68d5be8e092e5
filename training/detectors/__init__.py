"""Detectors that need gradients to score, and so are compared in evaluation but never served."""

from collections.abc import Callable, Mapping

from oodguard.training.detectors.mahalanobis import preprocessed_mahalanobis
from oodguard.training.detectors.odin import odin
from oodguard.training.detectors.preprocessing import Detector
from oodguard.training.scoring.graph import ScoredClassifier

DETECTORS: Mapping[str, Callable[[ScoredClassifier], Detector]] = {
    "odin": odin,
    "preprocessed_mahalanobis": preprocessed_mahalanobis,
}
"""By name, what makes the detector of a classifier; its results are differentiable in pixels."""
