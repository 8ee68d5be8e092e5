"""The out-of-distribution scores by name; each becomes a column of the graph output `scores`.

A score maps logits `(n, K)` to `(n,)`; higher always means more out-of-distribution. This is the
only definition of each: export writes it into the graph and the service never computes one.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from models.scores.energy import energy
from models.scores.max_logit import max_logit
from models.scores.msp import msp

Score = Callable[[Tensor], Tensor]

SCORES: Mapping[str, Score] = {"msp": msp, "max_logit": max_logit, "energy": energy}
