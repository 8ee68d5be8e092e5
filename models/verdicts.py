"""Verdicts: the prediction and the decision for each image, as arrays and as objects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from oodguard.models.qualities import PIXEL_QUALITIES
from oodguard.models.reasons import Reason

Decision: TypeAlias = Literal["accept", "reject"]
"""Whether an image is accepted as in-distribution."""

Reasons: TypeAlias = Mapping[int, tuple[Reason, ...]]
"""The reasons for the rejection of images, by the index of the image."""

NO_REASONS: Final[Reasons] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The prediction and the decision for one image.

    Attributes:
        label: The predicted class.
        class_id: The index of the predicted class.
        confidence: The softmax probability of the predicted class.
        scores: All scores of the bundle by name; higher means more out-of-distribution.
        p_value: The p-value of the deciding score; small means out-of-distribution.
        decision: By the deciding score.
        reasons: Why the image is rejected, at least one; none for an accepted image.
    """

    label: str
    class_id: int
    confidence: float
    scores: Mapping[str, float]
    p_value: float
    decision: Decision
    reasons: tuple[Reason, ...] = ()


_PER_IMAGE = ("logits", "scores", "class_ids", "confidences", "p_values", "rejected", "qualities")


@dataclass(frozen=True, kw_only=True, eq=False)
class VerdictArrays:
    """The verdicts on n images, one array for each field.

    Attributes:
        classes: The names of the K classes.
        score_names: The names of the S scores.
        logits: `(n, K)`, as the graph returned them.
        scores: `(n, S)`, as the graph returned them; higher means more out-of-distribution.
        class_ids: `(n,)`, the index of the largest logit.
        confidences: `(n,)`, the softmax probability of that class.
        p_values: `(n,)`, by the deciding score.
        rejected: `(n,)`, by the deciding score.
        qualities: `(n, 5)`, the `qualities.PIXEL_QUALITIES` of the images that were measured in
            the batch, and NaN for the others; None: no image was.
        reasons: Of the rejected images, once they are explained.
    """

    classes: Sequence[str]
    score_names: Sequence[str]
    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    confidences: NDArray[np.float64]
    p_values: NDArray[np.float64]
    rejected: NDArray[np.bool_]
    qualities: NDArray[np.float32] | None = None
    reasons: Reasons = field(default_factory=lambda: NO_REASONS)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """One object for each image, created once for all slices of these arrays."""
        return self.objects(0, len(self.rejected), NO_REASONS)

    def objects(self, start: int, stop: int, reasons: Reasons) -> list[Verdict]:
        """Return one object for each image from `start` to `stop`, exclusive.

        `reasons` are by the index of the image from `start`.
        """
        arrays = (self.scores, self.class_ids, self.confidences, self.p_values, self.rejected)
        rows = zip(*(array[start:stop].tolist() for array in arrays), strict=True)
        return [
            Verdict(
                label=self.classes[class_id],
                class_id=class_id,
                confidence=confidence,
                scores=dict(zip(self.score_names, scores, strict=True)),
                p_value=p_value,
                decision="reject" if rejected else "accept",
                reasons=reasons.get(index, ()),
            )
            for index, (scores, class_id, confidence, p_value, rejected) in enumerate(rows)
        ]

    @property
    def per_image(self) -> tuple[NDArray[Any], ...]:
        """The arrays with one row for each image, in the order of the fields."""
        arrays = (getattr(self, name) for name in _PER_IMAGE)
        return tuple(array for array in arrays if array is not None)

    def with_qualities(self) -> "VerdictArrays":
        """Return the same arrays, with NaN as the qualities if they have none."""
        if self.qualities is not None:
            return self
        nothing = np.full((len(self.rejected), len(PIXEL_QUALITIES)), np.nan, np.float32)
        return replace(self, qualities=nothing)

    def with_per_image(self, *arrays: NDArray[Any]) -> "VerdictArrays":
        """Return the same fields for other images, with `arrays` in the order of `per_image`."""
        names = _PER_IMAGE if self.qualities is not None else _PER_IMAGE[:-1]
        changes: dict[str, Any] = dict(zip(names, arrays, strict=True))
        return replace(self, **changes)


class Verdicts(Sequence[Verdict]):
    """The verdicts on some consecutive images of a batch.

    The batch is predicted in arrays and sliced without a copy, so that the cost of a request does
    not depend on the size of the batch that it was part of.

    Args:
        batch: The verdicts on all images of the batch.
        start: The first image.
        stop: The end, exclusive.
        reasons: Why images are rejected, by their index in these verdicts.
    """

    __slots__ = ("_batch", "_explained", "_reasons", "_start", "_stop")

    def __init__(
        self, batch: VerdictArrays, start: int, stop: int, reasons: Reasons = NO_REASONS
    ) -> None:
        self._batch = batch
        self._start = start
        self._stop = stop
        self._reasons = reasons
        self._explained: list[Verdict] | None = None

    @property
    def arrays(self) -> VerdictArrays:
        """The arrays of these images."""
        rows = slice(self._start, self._stop)
        arrays = self._batch.with_per_image(*(array[rows] for array in self._batch.per_image))
        return replace(arrays, reasons=self._reasons) if self._reasons else arrays

    @property
    def rejected(self) -> NDArray[np.bool_]:
        """Whether each image `(n,)` is rejected."""
        return self._batch.rejected[self._start : self._stop]

    def scores(self, column: int) -> NDArray[np.float32]:
        """Return one score `(n,)` by its index; higher means more out-of-distribution."""
        return self._batch.scores[self._start : self._stop, column]

    def logits(self, index: int) -> NDArray[np.float32]:
        """Return the logits `(K,)` of an image."""
        row: NDArray[np.float32] = self._batch.logits[self._start + index]
        return row

    def prediction(self, index: int) -> tuple[int, float, float]:
        """Return the predicted class of an image, its confidence and the p-value."""
        at, batch = self._start + index, self._batch
        return (
            batch.class_ids[at].item(),
            batch.confidences[at].item(),
            batch.p_values[at].item(),
        )

    def qualities(self, index: int) -> list[float] | None:
        """Return the measured qualities of an image, or None if it was not measured."""
        measured = self._batch.qualities
        if measured is None:
            return None
        values: list[float] = measured[self._start + index].tolist()
        return values if values[0] == values[0] else None

    @property
    def reasons(self) -> Reasons:
        """Why images are rejected, by their index in these verdicts, once they are explained."""
        return self._reasons

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, index: int) -> Verdict: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Verdict]: ...
    def __getitem__(self, index: int | slice) -> Verdict | Sequence[Verdict]:
        return self._objects()[index]

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self._objects())

    def subset(self, start: int, stop: int) -> "Verdicts":
        """Return the verdicts on images `start` to `stop` of these, without a copy."""
        reasons = {
            index - start: each for index, each in self._reasons.items() if start <= index < stop
        }
        return Verdicts(self._batch, self._start + start, self._start + stop, reasons)

    def with_decisions(self, rejected: NDArray[np.bool_]) -> "Verdicts":
        """Return the verdicts with other decisions `(n,)`, without reasons."""
        return Verdicts(replace(self.arrays, rejected=rejected, reasons=NO_REASONS), 0, len(self))

    def with_reasons(self, reasons: Reasons) -> "Verdicts":
        """Return the verdicts with reasons for rejections, by the index of the image."""
        return Verdicts(self._batch, self._start, self._stop, reasons)

    def __add__(self, others: "Verdicts") -> "Verdicts":
        """Concatenate with verdicts of the same model and policy."""
        if not self:
            return others
        first, second = self.arrays, others.arrays
        if (first.qualities is None) != (second.qualities is None):
            first, second = first.with_qualities(), second.with_qualities()
        pairs = zip(first.per_image, second.per_image, strict=True)
        joined = first.with_per_image(*(np.concatenate(pair) for pair in pairs))
        shifted = {len(self) + index: each for index, each in others._reasons.items()}
        return Verdicts(joined, 0, len(joined.rejected), {**self._reasons, **shifted})

    def _objects(self) -> list[Verdict]:
        if not self._reasons:
            return self._batch.verdicts[self._start : self._stop]
        if self._explained is None:
            self._explained = self._batch.objects(self._start, self._stop, self._reasons)
        return self._explained


NO_VERDICTS: Final = Verdicts(
    VerdictArrays(
        classes=(),
        score_names=(),
        logits=np.empty((0, 0), np.float32),
        scores=np.empty((0, 0), np.float32),
        class_ids=np.empty(0, np.int64),
        confidences=np.empty(0, np.float64),
        p_values=np.empty(0, np.float64),
        rejected=np.empty(0, np.bool_),
    ),
    0,
    0,
)
