"""Generalised entropy of the largest probabilities."""

import torch
from torch import Tensor


def gen(logits: Tensor, gamma: float = 0.1, top: int = 100) -> Tensor:
    """Score logits ``(n, K)`` as ``(n,)``, higher meaning more OOD.

    sum over the `top` largest probabilities p of p^gamma (1 - p)^gamma; all K where there are
    fewer. GEN, Liu et al. 2023 (CVPR); they take gamma 0.1 and, of 1,000 classes, the top 100.
    """
    ordered = torch.topk(logits, logits.shape[1], dim=1).values
    log_p = torch.log_softmax(ordered, dim=1)
    # Of the largest, 1 - p is the sum of the others: where p rounds to 1 its log stays finite.
    log_rest = torch.logsumexp(log_p[:, 1:], dim=1, keepdim=True)
    log_q = torch.cat([log_rest, torch.log1p(-log_p[:, 1:].exp())], dim=1)
    return torch.exp(gamma * (log_p + log_q))[:, :top].sum(dim=1)
