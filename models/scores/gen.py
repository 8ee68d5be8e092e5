"""Generalized entropy of the largest probabilities."""

import torch
from torch import Tensor


def gen(logits: Tensor, gamma: float = 0.1, top: int = 100) -> Tensor:
    """Return sum_{k <= top} p_k^gamma (1 - p_k)^gamma of logits `(n, K)`, as `(n,)`.

    p_1 >= p_2 >= ... are the softmax probabilities in descending order; higher means more OOD. GEN,
    Liu et al. 2023 (CVPR), with gamma 0.1 and, for 1,000 classes, the top 100.
    """
    ordered = torch.topk(logits, logits.shape[1], dim=1).values
    log_p = torch.log_softmax(ordered, dim=1)
    # 1 - p_1 as the sum of the others: its log is finite even if p_1 rounds to 1.
    log_rest = torch.logsumexp(log_p[:, 1:], dim=1, keepdim=True)
    log_q = torch.cat([log_rest, torch.log1p(-log_p[:, 1:].exp())], dim=1)
    return torch.exp(gamma * (log_p + log_q))[:, :top].sum(dim=1)
