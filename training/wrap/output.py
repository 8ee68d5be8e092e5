"""The output of a wrapped classifier: its kind, its classes, and the scores that suit it."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oodguard.models.errors import ClassifierError, RecipeError
from oodguard.models.scores import LOGIT_SCORES
from oodguard.training.data.classes import match_classes
from oodguard.training.data.dataset import ImageSet
from oodguard.training.export.onnx import export_module

RAW = "raw"

LEVEL_FREE_SCORES = ("msp", "gen")
"""Scores that do not change when a constant is added to all logits of an image.

Probabilities determine the logits up to such a constant. log p is the choice with log-sum-exp 0,
for which energy is 0 for every image and max-logit equals MSP.
"""


class OutputKind(StrEnum):
    """Kind of values that the last layer of a classifier computes."""

    LOGITS = "logits"
    LOG_PROBABILITIES = "log-probabilities"
    PROBABILITIES = "probabilities"

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores that are meaningful for such outputs."""
        return tuple(LOGIT_SCORES) if self is OutputKind.LOGITS else LEVEL_FREE_SCORES

    @property
    def default_score(self) -> str:
        """The score that decides unless another is chosen."""
        return "energy" if self is OutputKind.LOGITS else "msp"

    def choose(self, score: str | None) -> str:
        """Return the given score, or the default one for None.

        Raises:
            ClassifierError: There is no such score, or it is meaningless for such outputs.
        """
        chosen = score or self.default_score
        if chosen not in LOGIT_SCORES:
            raise ClassifierError(f"--score is {chosen}, expected one of {sorted(LOGIT_SCORES)}")
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
}
"""Descriptions of the outputs for a model card."""


class OutputScores(nn.Module):
    """Raw outputs `(n, K)` to logits `(n, K)` and scores `(n, S)`; higher is more OOD."""

    def __init__(self, kind: OutputKind) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Use log p as logits of probabilities p; a probability of 0 counts as 1e-38."""
        logits = raw
        if self.kind is OutputKind.PROBABILITIES:
            logits = raw.clamp_min(torch.finfo(torch.float32).tiny).log()
        return logits, torch.stack([LOGIT_SCORES[name](logits) for name in self.kind.scores], dim=1)


def output_scores_graph(kind: OutputKind, *, classes: int) -> onnx.ModelProto:
    """Return `OutputScores` as a graph from `raw` to `logits` and `scores`."""
    return export_module(
        OutputScores(kind),
        torch.zeros(2, classes),
        input_name=RAW,
        output_names=("logits", "scores"),
    )


def check_output_kind(raw: NDArray[np.float32], kind: OutputKind) -> None:
    """Check that the outputs `(n, K)` of a classifier are of the stated kind.

    Raises:
        ClassifierError: They are of another kind, or not finite.
    """
    if not np.isfinite(raw).all():
        raise ClassifierError("the outputs of the classifier are not finite")
    found = _detect_kind(raw)
    if found is not kind:
        shown = ", ".join(f"{value:.3g}" for value in raw[0, :4])
        raise ClassifierError(
            f"the classifier's outputs are {found}, expected {kind}: row 0 is"
            f" [{shown}{', ...' if raw.shape[1] > 4 else ''}]. Give --outputs {found}, or choose"
            " another output."
        )


def _detect_kind(raw: NDArray[np.float32]) -> OutputKind:
    wide = raw.astype(np.float64)
    if wide.min() >= 0 and np.allclose(wide.sum(axis=1), 1, atol=1e-3):
        return OutputKind.PROBABILITIES
    if np.allclose(np.logaddexp.reduce(wide, axis=1), 0, atol=1e-3):
        return OutputKind.LOG_PROBABILITIES
    return OutputKind.LOGITS


def read_classes(path: Path) -> tuple[str, ...]:
    """Read class names, one per line in the order of the outputs; blank lines are ignored.

    Raises:
        ClassifierError: The file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClassifierError(f"--classes {path}: cannot be read: {error}") from error
    return tuple(line.strip() for line in lines if line.strip())


def labels_of_outputs(classes: tuple[str, ...], data: ImageSet, *, outputs: int) -> Tensor:
    """Return the labels `(n,)` of the data as positions in `classes`.

    The data may have some of the classes only. Classes are matched by name; numbers in place of
    names, as in Parquet files without names, are positions.

    Raises:
        ClassifierError: The number of classes is wrong, a name is not unique, or the data has no
            classes or an unknown one.
    """
    if not data.classes:
        raise ClassifierError(
            f"--data {data.name}: found no classes, expected one sub-folder per class with all"
            " images inside the sub-folders, or a Parquet file with a class-label column. Move the"
            " images of each class into their own sub-folder."
        )
    if len(classes) != outputs:
        raise ClassifierError(
            f"received {len(classes)} class names, expected {outputs}, one per output. Give"
            " --classes FILE with one name per line, in the order of the outputs."
        )
    if len(set(classes)) != len(classes):
        repeated = sorted({name for name in classes if classes.count(name) > 1})
        raise ClassifierError(f"class names must be unique; repeated: {', '.join(repeated)}")
    return torch.tensor(_positions(classes, data.classes, data.name))[data.labels]


def _positions(classes: tuple[str, ...], found: tuple[str, ...], name: str) -> list[int]:
    try:
        return match_classes(classes, found, name=name)
    except RecipeError as error:
        raise ClassifierError(str(error)) from error
