"""Free energy of the logits."""

import torch
from torch import Tensor


def energy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Score logits ``(n, K)`` as ``(n,)`` energies, higher meaning more OOD.

    -T logsumexp(z / T); Liu et al. 2020, arXiv:2010.03759.
    """
    return -temperature * torch.logsumexp(logits / temperature, dim=1)
