"""The output of a wrapped classifier: its kind, and the scores that suit it."""

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.errors import ClassifierError
from oodguard.models.scores import LOGIT_SCORES

LEVEL_FREE_SCORES = ("msp", "gen")
"""Scores that do not change when a constant is added to all logits of an image.

Probabilities determine the logits up to such a constant. log p is the choice with log-sum-exp 0,
for which energy is 0 for every image and max-logit equals MSP.
"""

SMALLEST_PROBABILITY = float(torch.finfo(torch.float32).tiny)
LARGEST_PROBABILITY = 1 - 2.0**-24
"""The largest float32 below 1."""


class OutputKind(StrEnum):
    """Kind of values that the last layer of a classifier computes."""

    LOGITS = "logits"
    LOG_PROBABILITIES = "log-probabilities"
    PROBABILITIES = "probabilities"
    SIGMOID = "sigmoid"

    @property
    def has_level(self) -> bool:
        """Whether the outputs determine the logits with their level."""
        return self in {OutputKind.LOGITS, OutputKind.SIGMOID}

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores of the logits that are meaningful for such outputs."""
        return tuple(LOGIT_SCORES) if self.has_level else LEVEL_FREE_SCORES

    @property
    def default_score(self) -> str:
        """The score that decides unless another is chosen."""
        return "energy" if self.has_level else "msp"

    def choose(self, score: str | None, fitted: tuple[str, ...] = ()) -> str:
        """Return the given score, or the default one for None.

        Args:
            score: The name of a score.
            fitted: The scores of the features that are available too.

        Raises:
            ClassifierError: There is no such score, or it is meaningless for such outputs.
        """
        chosen = score or self.default_score
        if chosen in fitted:
            return chosen
        if chosen not in LOGIT_SCORES:
            hint = "" if fitted else " (more with --features and --fit)"
            raise ClassifierError(
                f"--score is {chosen}, expected one of {sorted((*LOGIT_SCORES, *fitted))}{hint}"
            )
        if chosen not in self.scores:
            raise ClassifierError(
                f"--score is {chosen}, which requires logits: {self} do not have their level."
                f" Choose one of {', '.join(self.scores)}, or the output before the softmax."
            )
        return chosen


DESCRIPTIONS: Mapping[OutputKind, str] = {
    OutputKind.LOGITS: "logits, unchanged",
    OutputKind.LOG_PROBABILITIES: "log-probabilities, used as logits",
    OutputKind.PROBABILITIES: "probabilities; their logarithms are used as logits",
    OutputKind.SIGMOID: "independent sigmoids p; log(p / (1 - p)) are used as logits",
}
"""Descriptions of the outputs for a model card."""

SINGLE = "; the single output z is used as the two logits -z/2 and z/2"


def to_logits(raw: Tensor, kind: OutputKind) -> Tensor:
    """Return the logits `(n, K)` of outputs `(n, K)`; a single output z becomes (-z/2, z/2).

    The softmax of (-z/2, z/2) is the sigmoid of z, and its energy is the same for z and -z. A
    probability of 0 counts as 1e-38, and a sigmoid of 1 as the largest float32 below 1.
    """
    if kind is OutputKind.PROBABILITIES:
        raw = raw.clamp_min(SMALLEST_PROBABILITY).log()
    elif kind is OutputKind.SIGMOID:
        bounded = raw.clamp(SMALLEST_PROBABILITY, LARGEST_PROBABILITY)
        raw = bounded.log() - (1 - bounded).log()
    return torch.cat([-raw / 2, raw / 2], dim=1) if raw.shape[1] == 1 else raw


def to_raw(logits: NDArray[np.float32], kind: OutputKind, *, outputs: int) -> NDArray[np.float32]:
    """Return the outputs `(n, outputs)` whose logits these are: the inverse of `to_logits`."""
    if outputs == 1:
        logits = logits[:, 1:] - logits[:, :1]
    if kind is OutputKind.PROBABILITIES:
        return np.exp(logits)
    if kind is OutputKind.SIGMOID:
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), np.float32)
    return logits


def check_output_kind(
    raw: NDArray[np.float32], kind: OutputKind, *, is_explicit: bool = False
) -> None:
    """Check that the outputs `(n, K)` of a classifier are of the stated kind.

    `is_explicit` accepts stated logits that are all in [0, 1], as those of a cosine head may be.

    Raises:
        ClassifierError: They are of another kind, or not finite.
    """
    if not np.isfinite(raw).all():
        raise ClassifierError("the outputs of the classifier are not finite")
    found = _detect_kind(raw)
    if found is kind or (is_explicit and (found, kind) == (OutputKind.SIGMOID, OutputKind.LOGITS)):
        return
    shown = ", ".join(f"{value:.3g}" for value in raw[0, :4])
    remedy = f"Give --outputs {found}, or choose another output."
    if (found, kind) == (OutputKind.SIGMOID, OutputKind.LOGITS):
        remedy += " Give --outputs logits if they are logits that are all between 0 and 1."
    raise ClassifierError(
        f"the classifier's outputs are {found}, expected {kind}: row 0 is"
        f" [{shown}{', ...' if raw.shape[1] > 4 else ''}]. {remedy}"
    )


def _detect_kind(raw: NDArray[np.float32]) -> OutputKind:
    wide = raw.astype(np.float64)
    is_unit = bool(wide.min() >= 0 and wide.max() <= 1 + 1e-6)
    if raw.shape[1] == 1:
        return OutputKind.SIGMOID if is_unit else OutputKind.LOGITS
    if wide.min() >= 0 and np.allclose(wide.sum(axis=1), 1, atol=1e-3):
        return OutputKind.PROBABILITIES
    if np.allclose(np.logaddexp.reduce(wide, axis=1), 0, atol=1e-3):
        return OutputKind.LOG_PROBABILITIES
    return OutputKind.SIGMOID if is_unit else OutputKind.LOGITS
