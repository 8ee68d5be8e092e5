"""What a given classifier answers, as logits, and the scores that still mean something on them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.errors import ClassifierError
from models.scores import LOGIT_SCORES
from training.onnx_model import exported

RAW = "raw"

LEVEL_FREE = ("msp", "gen")
"""Scores that stay the same when a number is added to all logits of an image.

Probabilities fix the logits up to such a number: log p is the member of the family with log-sum-exp
0, so on it energy is 0 for every image, and max-logit is MSP under another name.
"""


class Outputs(StrEnum):
    """What the classifier's last layer gives."""

    LOGITS = "logits"
    LOG_PROBABILITIES = "log-probabilities"
    PROBABILITIES = "probabilities"

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores that mean something on such outputs."""
        return tuple(LOGIT_SCORES) if self is Outputs.LOGITS else LEVEL_FREE

    @property
    def default_score(self) -> str:
        """The score that decides unless another is asked for."""
        return "energy" if self is Outputs.LOGITS else "msp"

    def choose(self, score: str | None) -> str:
        """Return the asked score, or the default one.

        Raises:
            ClassifierError: there is no such score, or it means nothing on such outputs.
        """
        chosen = score or self.default_score
        if chosen not in LOGIT_SCORES:
            raise ClassifierError(f"--score {chosen} came; one of {sorted(LOGIT_SCORES)} is wanted")
        if chosen not in self.scores:
            raise ClassifierError(
                f"--score {chosen} needs logits: the level of the logits is lost in {self}."
                f" Take one of {', '.join(self.scores)}, or the output before the softmax"
            )
        return chosen


class Scored(nn.Module):
    """Raw outputs `(n, K)` to logits `(n, K)` and scores `(n, S)`, higher meaning more OOD."""

    def __init__(self, outputs: Outputs) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Take log p for logits where probabilities come; a probability of 0 counts as 1e-38."""
        logits = raw
        if self.outputs is Outputs.PROBABILITIES:
            logits = raw.clamp_min(torch.finfo(torch.float32).tiny).log()
        return logits, torch.stack(
            [LOGIT_SCORES[name](logits) for name in self.outputs.scores], dim=1
        )


def scores_graph(outputs: Outputs, *, classes: int) -> onnx.ModelProto:
    """Return `Scored` as a graph from `raw` to `logits` and `scores`."""
    return exported(Scored(outputs), torch.zeros(2, classes), takes=RAW, gives=("logits", "scores"))


def check_outputs(raw: NDArray[np.float32], outputs: Outputs) -> None:
    """Hold what the classifier answered, `(n, K)`, against what it is said to answer.

    Raises:
        ClassifierError: other outputs than the said ones.
    """
    if not np.isfinite(raw).all():
        raise ClassifierError("the classifier answers with numbers that are not finite")
    found = _kind(raw)
    if found is not outputs:
        raise ClassifierError(
            f"the classifier's outputs are {found}, not {outputs}:"
            f" row 0 is {_few(raw[0])}; say --outputs {found}, or take another output"
        )


def _kind(raw: NDArray[np.float32]) -> Outputs:
    wide = raw.astype(np.float64)
    if wide.min() >= 0 and np.allclose(wide.sum(axis=1), 1, atol=1e-3):
        return Outputs.PROBABILITIES
    if np.allclose(np.logaddexp.reduce(wide, axis=1), 0, atol=1e-3):
        return Outputs.LOG_PROBABILITIES
    return Outputs.LOGITS


def _few(row: Sequence[float] | NDArray[np.float32]) -> str:
    shown = ", ".join(f"{value:.3g}" for value in row[:4])
    return f"[{shown}{', ...' if len(row) > 4 else ''}]"


MEANING: Mapping[Outputs, str] = {
    Outputs.LOGITS: "logits, as they are",
    Outputs.LOG_PROBABILITIES: "log-probabilities, taken for logits",
    Outputs.PROBABILITIES: "probabilities; their logarithms are taken for logits",
}
