"""Distillation: learn the outputs of a trained network, the teacher, in addition to the labels.

    (1 - a) L + a [H(t(x), x') + w H(t(o), o')]

where L is the loss of the method, x an inlier, o an outlier, a prime marks the image that the
method learns from, which is attacked in the attacked halves, t is the softmax of the teacher's
logits, H(t, x) the cross-entropy of the network's logits on x to t, w the recipe's
`outliers.weight`, and every term a mean over its images. The teacher sees the images before the
attack. Attacks maximize the terms of L, which have the labels.

The teacher's targets are soft where an image is ambiguous, and the same for all attacks on it, so a
network memorizes less: robust soft labels of Zi et al. 2021, arXiv:2108.07969. That paper has no
outliers; the second term is this project's.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oodguard.training.objectives.base import Batch, Objective, TrainingStep


@dataclass(frozen=True, kw_only=True, slots=True)
class Distilled:
    """An objective with the share `share` of its loss replaced by the teacher's term.

    The objective must learn from the images of the batch in one pass in training mode, inliers
    first. `teacher` maps images `(n, 3, H, W)` in [0, 1] to as many logits `(n, C)` as the network.
    """

    objective: Objective
    teacher: nn.Module
    share: float
    outlier_weight: float

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Return the step of the objective, with the teacher's term in its loss."""
        count = len(batch.inliers)
        with torch.no_grad():
            targets = self.teacher(torch.cat([batch.inliers, batch.outliers])).softmax(dim=1)
        learned = _LearnedLogits(network)
        step = self.objective(learned, batch, generator)
        (logits,) = learned.logits
        # A method without outliers learns from the inliers alone.
        losses = soft_cross_entropy(logits, targets[: len(logits)])
        term = losses[:count].mean()
        if len(losses) > count:
            term = term + self.outlier_weight * losses[count:].mean()
        return replace(step, loss=(1 - self.share) * step.loss + self.share * term)


class _LearnedLogits(nn.Module):
    """A network that keeps the logits of its passes in training mode."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.training = network.training
        self.network = network
        self.logits: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to logits `(n, C)`."""
        logits: Tensor = self.network(images)
        if self.training:
            self.logits.append(logits)
        return logits


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits `(n, C)` to probabilities `(n, C)`, as `(n,)` nats."""
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1)
