"""A small classifier with every score, fitted on grey images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oodguard.models.manifest import InputSpec
from oodguard.models.networks import build_network
from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores import SCORE_NAMES
from oodguard.models.scores.base import ScoreOptions
from oodguard.training.data.dataset import ImageSet
from oodguard.training.scoring.fit_scores import fit_scores
from oodguard.training.scoring.graph import ScoredNetwork

CLASSES = ("a", "b", "c")
OPTIONS = ScoreOptions(temperature=2.0, knn_bank=40, knn_neighbour=3)
SPEC = InputSpec(height=8, width=8)


def greys(count: int, seed: int) -> ImageSet:
    """Return noise around a grey level that depends on the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    noise = rng.integers(-60, 60, (count, 8, 8, 3))
    images = np.clip(noise + (64 + 64 * labels)[:, None, None, None], 0, 255).astype(np.uint8)
    return ImageSet(
        name="greys",
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        classes=CLASSES,
    )


def confident_network() -> Classifier:
    """Return a network with a reject class and logits large enough for the scale of ViM."""
    torch.manual_seed(0)
    network = build_network("resnet8", len(CLASSES) + 1, width=4).eval().requires_grad_(False)
    assert isinstance(network.head, nn.Linear)
    network.head.weight.mul_(30)
    return network


def with_all_scores(network: Classifier) -> ScoredNetwork:
    scores = fit_scores(network, greys(120, seed=0), SCORE_NAMES, options=OPTIONS, seed=1)
    return ScoredNetwork(network, scores, classes=len(CLASSES)).eval()


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (37, 8, 8, 3), np.uint8)
