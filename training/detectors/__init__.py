"""Detectors that need gradients to score, and so are compared in evaluation but never served."""

from collections.abc import Callable, Mapping

from training.detectors.mahalanobis import preprocessed_mahalanobis
from training.detectors.odin import odin
from training.detectors.preprocessing import Detector
from training.graph import Scored

DETECTORS: Mapping[str, Callable[[Scored], Detector]] = {
    "odin": odin,
    "preprocessed_mahalanobis": preprocessed_mahalanobis,
}
"""By name, what makes the detector of a classifier; its results are differentiable in pixels."""
