"""ATOM: adversarial training with informative outlier mining.

    L = CE(x, y) + w CE(o*, reject)

over K + 1 outputs of which the last is the reject class. Chen et al. 2021, arXiv:2006.15207; w = 1.
The outliers o* are mined: a pool is ranked by the probability of the reject class, lowest first,
the images from a quantile on are used, and half of them are attacked to minimize that probability.
The paper's quantile is 0.125 for CIFAR-10, and its pool is four times the number of images used.

Difference to the paper: it ranks one pool per epoch, four times the epoch's outliers, with the
network at the start of the epoch. Here every batch has its own pool, ranked by the current network.
The ranking is never stale and nothing is stored between batches, but the mined images are the
hardest of a few hundred instead of some hundred thousand. Both use the same number of images.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oodguard.training.config.methods import MiningSettings
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import (
    Batch,
    TrainingStep,
    class_logits,
    inlier_loss,
    logits_of_both,
    reject_cross_entropy,
)
from oodguard.training.scoring.network import frozen


@dataclass(frozen=True, kw_only=True, slots=True)
class Atom:
    """The attack on the mined outliers, the mining settings and the weight w.

    A batch's outliers are the pool; 1 of `mining.pool` of them is used.
    """

    adversary: Adversary
    mining: MiningSettings
    outlier_weight: float

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Mine outliers, attack a share of them, and return the loss of inliers and outliers."""
        mined = mine(
            network,
            batch.outliers,
            count=-(-len(batch.outliers) // self.mining.pool),  # rounded up: at least one
            quantile=self.mining.quantile,
            generator=generator,
        )
        count = round(self.mining.attacked * len(mined))
        attacked = self.adversary(
            network,
            replace(batch, outliers=mined[:count]),
            generator,
            outliers=reject_cross_entropy,
        )
        outliers = torch.cat([attacked.outliers, mined[count:]])
        inlier_logits, outlier_logits = logits_of_both(network, replace(batch, outliers=outliers))
        outlier_term = reject_cross_entropy(outlier_logits).mean()
        return TrainingStep(
            loss=inlier_loss(inlier_logits, batch) + self.outlier_weight * outlier_term,
            inlier_logits=class_logits(inlier_logits),
        )


@torch.no_grad()
def mine(
    network: nn.Module,
    pool: Tensor,
    *,
    count: int,
    quantile: float,
    generator: torch.Generator,
) -> Tensor:
    """Return `count` images of the pool `(p, 3, H, W)`, in random order.

    The pool is ranked by the probability of the reject class, the network's last output, from low
    to high, with the network in evaluation mode. The images from `quantile` of the pool on are
    returned.
    """
    with frozen(network):
        ranked = reject_cross_entropy(network(pool)).argsort(descending=True)
    first = min(int(quantile * len(pool)), len(pool) - count)
    shuffled = torch.randperm(count, generator=generator, device=pool.device)
    return pool[ranked[first : first + count][shuffled]]
