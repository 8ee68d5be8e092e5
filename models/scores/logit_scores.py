"""Scores of the logits alone. Higher means more out-of-distribution."""

import torch
from torch import Tensor


def msp(logits: Tensor) -> Tensor:
    """Return 1 - max_k softmax(z)_k of logits z `(n, K)`, as `(n,)` in [0, 1 - 1/K].

    Higher means more OOD. Hendrycks and Gimpel 2017, arXiv:1610.02136.
    """
    return 1.0 - torch.softmax(logits, dim=1).amax(dim=1)


def msp_log_odds(logits: Tensor) -> Tensor:
    """Return log((1 - p) / p) with p = max_k softmax(z)_k of logits z `(n, K)`, as `(n,)`.

    This is the logit of `msp`: the ranking is the same, and the gradient does not vanish where the
    softmax saturates. An attack on `msp` itself would stop there and overestimate the robustness.
    """
    top = logits.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, top, -torch.inf)
    return torch.logsumexp(others, dim=1) - logits.gather(1, top).squeeze(1)


def max_logit(logits: Tensor) -> Tensor:
    """Return -max_k z_k of logits z `(n, K)`, as `(n,)`; higher means more OOD.

    Hendrycks et al. 2022, arXiv:1911.11132.
    """
    return -logits.amax(dim=1)


def energy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return -T logsumexp(z / T) of logits z `(n, K)` at temperature T, as `(n,)`.

    Higher means more OOD. Liu et al. 2020, arXiv:2010.03759.
    """
    return -temperature * torch.logsumexp(logits / temperature, dim=1)


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


def abstain(outputs: Tensor) -> Tensor:
    """Return z_{K+1} - logsumexp(z_1, ..., z_K) of outputs z `(n, K + 1)`, as `(n,)`.

    The reject class is the last output; higher means more OOD. This is the logit of the softmax
    probability of the reject class, the score of NTOM and ATOM, Chen et al. 2021, arXiv:2006.15207.
    The ranking is the same, and the gradient does not vanish where the softmax saturates.
    """
    return outputs[:, -1] - torch.logsumexp(outputs[:, :-1], dim=1)
