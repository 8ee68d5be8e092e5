"""What a given classifier answers, as logits, and the scores that still mean something on them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oodguard.models.errors import ClassifierError
from oodguard.models.scores import LOGIT_SCORES
from oodguard.training.data.dataset import ImageSet
from oodguard.training.export.onnx import export_module


def read_classes(path: Path) -> tuple[str, ...]:
    """Read class names, one a line, in the order of the logits; blank lines count for nothing.

    Raises:
        ClassifierError: the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClassifierError(f"--classes {path}: cannot be read: {error}") from error
    return tuple(line.strip() for line in lines if line.strip())


def labels_of_outputs(classes: tuple[str, ...], data: ImageSet, *, outputs: int) -> Tensor:
    """Return the labels `(n,)` of the data as places in `classes`, one for every output.

    The data may hold some of the classes alone. Names decide; where the data has numbers for
    names, as Parquet files without names do, the numbers are the places.

    Raises:
        ClassifierError: another number of classes than of outputs, names that come twice, data
            without classes or with one that is not among them.
    """
    if len(classes) != outputs:
        raise ClassifierError(
            f"{len(classes)} class names came for {outputs} outputs; one for each is wanted: give"
            " --classes FILE, one name a line, in the order of the outputs"
        )
    if len(set(classes)) != len(classes):
        twice = sorted({name for name in classes if classes.count(name) > 1})
        raise ClassifierError(f"class names must be unique; twice or more: {', '.join(twice)}")
    if not data.classes:
        raise ClassifierError(
            f"{data.name} has no classes; a label column or one sub-folder a class is wanted"
        )
    return torch.tensor(_places(classes, data.classes, data.name))[data.labels]


def _places(classes: tuple[str, ...], found: tuple[str, ...], name: str) -> list[int]:
    numbers = [str(number) for number in range(len(found))]
    if list(found) == numbers and len(found) <= len(classes):
        return list(range(len(found)))
    strange = [each for each in found if each not in classes]
    if strange:
        raise ClassifierError(
            f"{name} has classes that the classifier has not: {', '.join(strange[:5])}"
            f"{', ...' if len(strange) > 5 else ''}; it has {', '.join(classes[:5])}"
            f"{', ...' if len(classes) > 5 else ''}"
        )
    return [classes.index(each) for each in found]


RAW = "raw"

LEVEL_FREE = ("msp", "gen")
"""Scores that stay the same when a number is added to all logits of an image.

Probabilities fix the logits up to such a number: log p is the member of the family with log-sum-exp
0, so on it energy is 0 for every image, and max-logit is MSP under another name.
"""


class OutputKind(StrEnum):
    """What the classifier's last layer gives."""

    LOGITS = "logits"
    LOG_PROBABILITIES = "log-probabilities"
    PROBABILITIES = "probabilities"

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores that mean something on such outputs."""
        return tuple(LOGIT_SCORES) if self is OutputKind.LOGITS else LEVEL_FREE

    @property
    def default_score(self) -> str:
        """The score that decides unless another is asked for."""
        return "energy" if self is OutputKind.LOGITS else "msp"

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


class OutputScores(nn.Module):
    """Raw outputs `(n, K)` to logits `(n, K)` and scores `(n, S)`, higher meaning more OOD."""

    def __init__(self, outputs: OutputKind) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Take log p for logits where probabilities come; a probability of 0 counts as 1e-38."""
        logits = raw
        if self.outputs is OutputKind.PROBABILITIES:
            logits = raw.clamp_min(torch.finfo(torch.float32).tiny).log()
        return logits, torch.stack(
            [LOGIT_SCORES[name](logits) for name in self.outputs.scores], dim=1
        )


def output_scores_graph(outputs: OutputKind, *, classes: int) -> onnx.ModelProto:
    """Return `Scored` as a graph from `raw` to `logits` and `scores`."""
    return export_module(
        OutputScores(outputs), torch.zeros(2, classes), takes=RAW, gives=("logits", "scores")
    )


def check_output_kind(raw: NDArray[np.float32], outputs: OutputKind) -> None:
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


def _kind(raw: NDArray[np.float32]) -> OutputKind:
    wide = raw.astype(np.float64)
    if wide.min() >= 0 and np.allclose(wide.sum(axis=1), 1, atol=1e-3):
        return OutputKind.PROBABILITIES
    if np.allclose(np.logaddexp.reduce(wide, axis=1), 0, atol=1e-3):
        return OutputKind.LOG_PROBABILITIES
    return OutputKind.LOGITS


def _few(row: Sequence[float] | NDArray[np.float32]) -> str:
    shown = ", ".join(f"{value:.3g}" for value in row[:4])
    return f"[{shown}{', ...' if len(row) > 4 else ''}]"


MEANING: Mapping[OutputKind, str] = {
    OutputKind.LOGITS: "logits, as they are",
    OutputKind.LOG_PROBABILITIES: "log-probabilities, taken for logits",
    OutputKind.PROBABILITIES: "probabilities; their logarithms are taken for logits",
}
