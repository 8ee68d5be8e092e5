"""A small trained detector and real images of both sides, to compare attacks of libraries."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from oodguard.models.networks import build_network
from oodguard.models.scores import LOGIT_SCORES
from oodguard.models.scores.base import of_logits
from oodguard.training.data.dataset import to_pixels
from oodguard.training.objectives.base import cross_entropy, uniform_cross_entropy
from oodguard.training.scoring.graph import ScoredNetwork

DATA = Path(__file__).parents[3] / "data"
STEPS = 30


def pixels(folder: str) -> Tensor:
    """Read every image under a folder of tests/data, ordered by path."""
    images = [np.array(Image.open(path)) for path in sorted((DATA / folder).rglob("*.png"))]
    return to_pixels(torch.from_numpy(np.stack(images)))


@pytest.fixture(scope="session")
def inside() -> Tensor:
    """Every eighth CIFAR-10 image."""
    return pixels("cifar10")[::8]


@pytest.fixture(scope="session")
def outside() -> Tensor:
    """Textures that are not in the training data."""
    return pixels("textures")


@pytest.fixture(scope="session")
def classifier() -> ScoredNetwork:
    """A network trained for ten classes and for uniform outputs on outliers.

    In float64: the kernels of CPUs round differently, and in float32 the networks of two CPUs
    differed so much that attacks on them did.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = build_network("resnet8", 10, width=8).double().train()
    images, outliers = pixels("cifar10").double(), pixels("outliers").double()
    labels = torch.arange(10).repeat_interleave(20)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(STEPS):
        chosen, others = torch.randperm(200)[:64], torch.randperm(120)[:32]
        logits = network(torch.cat([images[chosen], outliers[others]]))
        known, unknown = logits[:64], logits[64:]
        loss = cross_entropy(known, labels[chosen]).mean()
        loss = loss + 0.5 * uniform_cross_entropy(unknown).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores = {name: of_logits(score) for name, score in LOGIT_SCORES.items()}
    classifier = ScoredNetwork(network.float(), scores, classes=10).eval()
    return classifier.requires_grad_(requires_grad=False)
