"""Log-odds of the reject class, for networks that were trained with a reject class."""

import torch
from torch import Tensor


def abstain(outputs: Tensor) -> Tensor:
    """Return z_{K+1} - logsumexp(z_1, ..., z_K) of outputs z `(n, K + 1)`, as `(n,)`.

    The reject class is the last output; higher means more OOD. This is the logit of the softmax
    probability of the reject class, the score of NTOM and ATOM, Chen et al. 2021, arXiv:2006.15207.
    The ranking is the same, and the gradient does not vanish where the softmax saturates.
    """
    return outputs[:, -1] - torch.logsumexp(outputs[:, :-1], dim=1)
