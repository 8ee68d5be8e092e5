"""Outlier mining: of a pool, those that the network tells least from inliers."""

import torch
from torch import Tensor, nn

from oodguard.training.objectives.losses import reject_cross_entropy
from oodguard.training.scoring.network import frozen


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
    to high, by one pass with the network held still; the images from `quantile` of it on are taken.
    """
    with frozen(network):
        ranked = reject_cross_entropy(network(pool)).argsort(descending=True)
    first = min(int(quantile * len(pool)), len(pool) - count)
    shuffled = torch.randperm(count, generator=generator, device=pool.device)
    return pool[ranked[first : first + count][shuffled]]
