"""What to climb in order to raise each score: a strictly increasing function of it.

Attacking the log-odds instead of a probability changes no ranking, and its gradient does not vanish
where the softmax saturates: an attack that stalls there would report robustness that is not there.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from models.scores.energy import energy
from models.scores.max_logit import max_logit
from training.attacks.gradient import Aim


def msp_log_odds(logits: Tensor) -> Tensor:
    """log((1 - p) / p) for p the maximum softmax probability of logits `(n, K)`, as `(n,)`."""
    top = logits.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, top, -torch.inf)
    return torch.logsumexp(others, dim=1) - logits.gather(1, top).squeeze(1)


TO_REJECTED: Mapping[str, Aim] = {"msp": msp_log_odds, "max_logit": max_logit, "energy": energy}
"""By score: what an attack on an in-distribution image maximises, so that it is rejected."""


def to_accepted(score: str) -> Aim:
    """What an attack on an out-of-distribution image maximises, so that it is accepted."""
    rejected = TO_REJECTED[score]
    return lambda logits: -rejected(logits)
