"""Mirror consistency: learn from each image together with its mirror image.

    L(m) + c J,  m = (a + b) / 2,  J = [lse(a) + lse(b)] / 2 - lse(m)

where a are the logits of an image, b those of its mirror image, L is the loss of the method, lse
the logarithm of the sum of exponentials, and J a mean over all images of a pass. J is the gap of
Jensen's inequality, and with the softmax p

    J = [KL(p(m) || p(a)) + KL(p(m) || p(b))] / 2 >= 0,

so it distils the mirror mean, which `network.mirror` computes in two passes, into a single pass. If
L is a sum of cross-entropies with labels or the uniform distribution, and J has the same weights,
L(m) + J is the mean of L(a) and L(b); a larger c demands more consistency. Attacks are those of the
method, on the image alone; the mirror image is that of the attacked image.

This project's combination of logit averaging over views with a Jensen gap between them, as in
AugMix, Hendrycks et al. 2020, arXiv:1912.02781.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oodguard.training.objectives.base import Batch, Objective, TrainingStep


@dataclass(frozen=True, kw_only=True, slots=True)
class MirrorConsistent:
    """An objective on the mirror mean, plus `weight` times the inconsistency."""

    objective: Objective
    weight: float

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Return the step of the objective on the mirror mean, with the inconsistency added."""
        pairs = MirrorPairs(network)
        step = self.objective(pairs, batch, generator)
        return replace(step, loss=step.loss + self.weight * torch.cat(pairs.gaps).mean())


class MirrorPairs(nn.Module):
    """A network whose logits in training mode are the mean over each image and its mirror image.

    `gaps` are the inconsistencies `(n,)` of the passes in training mode. In evaluation mode, which
    attacks use, it is the network itself.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.training = network.training
        self.network = network
        self.gaps: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to logits `(n, C)`."""
        if not self.training:
            logits: Tensor = self.network(images)
            return logits
        # One pass, so that batch-norm normalizes over both.
        both: Tensor = self.network(torch.cat([images, images.flip(3)]))
        first, second = both.chunk(2)
        self.gaps.append(jensen_gap(first, second))
        return (first + second) / 2


def jensen_gap(first: Tensor, second: Tensor) -> Tensor:
    """Return [lse(a) + lse(b)] / 2 - lse((a + b) / 2) of logits a, b `(n, C)`, as `(n,)` nats."""
    ends = torch.logsumexp(torch.stack([first, second]), dim=2).mean(0)
    return ends - torch.logsumexp((first + second) / 2, dim=1)
