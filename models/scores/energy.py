"""Free energy of the logits."""

import torch
from torch import Tensor


def energy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return -T logsumexp(z / T) of logits z `(n, K)` at temperature T, as `(n,)`.

    Higher means more OOD. Liu et al. 2020, arXiv:2010.03759.
    """
    return -temperature * torch.logsumexp(logits / temperature, dim=1)
