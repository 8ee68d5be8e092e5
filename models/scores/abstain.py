"""Log-odds of the reject class, for networks that were trained with one."""

import torch
from torch import Tensor


def abstain(outputs: Tensor) -> Tensor:
    """Score outputs ``(n, K + 1)``, the reject class last, as ``(n,)``, higher meaning more OOD.

    z_{K+1} - logsumexp(z_1..z_K): the logit of the reject class's softmax probability, which is the
    score of NTOM and ATOM, Chen et al. 2021, arXiv:2006.15207. The ranking is the same, and the
    gradient does not vanish where the softmax saturates.
    """
    return outputs[:, -1] - torch.logsumexp(outputs[:, :-1], dim=1)
