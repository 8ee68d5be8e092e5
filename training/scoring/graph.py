"""Classifiers with OOD scores, from pixels to logits and score columns."""

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

EVALUATION_BATCH_SIZE = 250
"""The largest number of images of a batch wherever nothing is trained."""

EVALUATION_BATCH_PIXELS = EVALUATION_BATCH_SIZE * 64 * 64


def evaluation_batch_size(height: int, width: int) -> int:
    """Return the batch size for fitting scores, calibration, evaluation and attacks.

    Images above 64 x 64 pixels get smaller batches, so that an attack fits into memory. Attacks
    draw their random numbers batch by batch, so another size gives other attacked figures.
    """
    return max(1, min(EVALUATION_BATCH_SIZE, EVALUATION_BATCH_PIXELS // (height * width)))


class ScoredClassifier(nn.Module):
    """Base of evaluated and attacked classifiers: logits and named scores of pixels.

    Subclasses implement `features_and_outputs`. The network has one output per class and may have
    one more, the reject class, last. Only `REJECT_SCORES` use it; all other scores and the
    predicted class use the class logits.
    """

    def __init__(self, scores: Mapping[str, Score], *, classes: int) -> None:
        super().__init__()
        self.scores = dict(scores)
        self.classes = classes

    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to features `(n, D)` and all outputs."""
        raise NotImplementedError

    def features_and_logits(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to features `(n, D)` and class logits `(n, K)`."""
        features, outputs = self.features_and_outputs(pixels)
        return features, outputs[:, : self.classes]

    def score(self, name: str, pixels: Tensor) -> Tensor:
        """Score float `(n, 3, H, W)` in [0, 1] as `(n,)`; higher is more OOD; differentiable."""
        return self.score_from_outputs(name, *self.features_and_outputs(pixels))

    def score_from_outputs(self, name: str, features: Tensor, outputs: Tensor) -> Tensor:
        """Score the result of `features_and_outputs` as `(n,)`; higher is more OOD."""
        used = outputs if name in REJECT_SCORES else outputs[:, : self.classes]
        return self.scores[name](features, used)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 `(n, H, W, 3)` to logits `(n, K)` and scores `(n, S)`; higher is more OOD."""
        features, outputs = self.features_and_outputs(to_pixels(images))
        columns = [self.score_from_outputs(name, features, outputs) for name in self.scores]
        return outputs[:, : self.classes], torch.stack(columns, dim=1)


class ScoredNetwork(ScoredClassifier):
    """A network with its scores; this is the module that is exported to ONNX."""

    def __init__(self, network: Classifier, scores: Mapping[str, Score], *, classes: int) -> None:
        super().__init__(scores, classes=classes)
        self.network = network
        # In a plain dict the statistics of fitted scores would be missed by `to` and by the export.
        self.fitted = nn.ModuleDict({k: s for k, s in scores.items() if isinstance(s, nn.Module)})

    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to features `(n, D)` and all outputs."""
        features = self.network.features(pixels)
        return features, self.network.head(features)


def torch_run(classifier: ScoredClassifier) -> RunGraph:
    """Return the classifier as a function from uint8 images to logits and scores."""

    @torch.no_grad()
    def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, scores = classifier(torch.from_numpy(images))
        return logits.numpy(), scores.numpy()

    return run
