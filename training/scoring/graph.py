"""The graph that is exported: uint8 pixels in, logits and OOD scores out."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores import REJECT_SCORES
from oodguard.models.scores.base import Score
from oodguard.training.data.dataset import to_pixels


class ScoredClassifier(nn.Module):
    """What is measured and attacked: logits and scores by name, in the pixel space of clients.

    The network has `classes` outputs, or one more: the reject class, last. That one is seen by the
    `REJECT_SCORES` alone; everything else, the predicted class among it, is of the classes' logits.
    """

    def __init__(self, scores: Mapping[str, Score], *, classes: int) -> None:
        super().__init__()
        self.scores = dict(scores)
        self.classes = classes

    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map as `outputs` does, the reject class included where there is one."""
        raise NotImplementedError

    def features_and_logits(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to features `(n, D)` and class logits `(n, K)`."""
        features, outputs = self.features_and_outputs(pixels)
        return features, outputs[:, : self.classes]

    def score(self, name: str, pixels: Tensor) -> Tensor:
        """Score float `(n, 3, H, W)` in [0, 1] as `(n,)`, higher more OOD; differentiable."""
        return self.score_from_outputs(name, *self.features_and_outputs(pixels))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 `(n, H, W, 3)` to logits `(n, K)` and scores `(n, S)`, higher more OOD."""
        features, outputs = self.features_and_outputs(to_pixels(images))
        columns = [self.score_from_outputs(name, features, outputs) for name in self.scores]
        return outputs[:, : self.classes], torch.stack(columns, dim=1)

    def score_from_outputs(self, name: str, features: Tensor, outputs: Tensor) -> Tensor:
        """Score what `all_outputs` returned as `(n,)`, higher more OOD."""
        seen = outputs if name in REJECT_SCORES else outputs[:, : self.classes]
        return self.scores[name](features, seen)


class ScoredNetwork(ScoredClassifier):
    """A network with its scores by name."""

    def __init__(self, network: Classifier, scores: Mapping[str, Score], *, classes: int) -> None:
        super().__init__(scores, classes=classes)
        self.network = network
        # Modules in a plain dict would keep their statistics from `to`, `state_dict` and export.
        self.fitted = nn.ModuleDict({k: s for k, s in scores.items() if isinstance(s, nn.Module)})

    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map as `outputs` does, the reject class included where there is one."""
        features = self.network.features(pixels)
        return features, self.network.head(features)


def torch_run(classifier: ScoredClassifier, *, batch_size: int = 250) -> RunGraph:
    """Return the classifier as the `run` that a guard takes."""

    @torch.no_grad()
    def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        parts = [classifier(part) for part in torch.from_numpy(images).split(batch_size)]
        logits, scores = (torch.cat(column) for column in zip(*parts, strict=True))
        return logits.numpy(), scores.numpy()

    return run
