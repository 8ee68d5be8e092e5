"""Verdicts: the prediction and the decision for each image, as arrays and as objects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

Decision: TypeAlias = Literal["accept", "reject"]
"""Whether an image is accepted as in-distribution."""


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
    """

    label: str
    class_id: int
    confidence: float
    scores: Mapping[str, float]
    p_value: float
    decision: Decision


_PER_IMAGE = ("logits", "scores", "class_ids", "confidences", "p_values", "rejected")


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
    """

    classes: Sequence[str]
    score_names: Sequence[str]
    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    confidences: NDArray[np.float64]
    p_values: NDArray[np.float64]
    rejected: NDArray[np.bool_]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """One object for each image, created once for all slices of these arrays."""
        rows = zip(*(array.tolist() for array in self.per_image[1:]), strict=True)
        return [
            Verdict(
                label=self.classes[class_id],
                class_id=class_id,
                confidence=confidence,
                scores=dict(zip(self.score_names, scores, strict=True)),
                p_value=p_value,
                decision="reject" if rejected else "accept",
            )
            for scores, class_id, confidence, p_value, rejected in rows
        ]

    @property
    def per_image(self) -> tuple[NDArray[Any], ...]:
        """The arrays with one row for each image, in the order of the fields."""
        return tuple(getattr(self, name) for name in _PER_IMAGE)

    def with_per_image(self, *arrays: NDArray[Any]) -> "VerdictArrays":
        """Return the same fields for other images, with `arrays` in the order of `per_image`."""
        changes: dict[str, Any] = dict(zip(_PER_IMAGE, arrays, strict=True))
        return replace(self, **changes)


class Verdicts(Sequence[Verdict]):
    """The verdicts on some consecutive images of a batch.

    The batch is predicted in arrays and sliced without a copy, so that the cost of a request does
    not depend on the size of the batch that it was part of.

    Args:
        batch: The verdicts on all images of the batch.
        start: The first image.
        stop: The end, exclusive.
    """

    __slots__ = ("_batch", "_start", "_stop")

    def __init__(self, batch: VerdictArrays, start: int, stop: int) -> None:
        self._batch = batch
        self._start = start
        self._stop = stop

    @property
    def arrays(self) -> VerdictArrays:
        """The arrays of these images."""
        rows = slice(self._start, self._stop)
        return self._batch.with_per_image(*(array[rows] for array in self._batch.per_image))

    def scores(self, column: int) -> NDArray[np.float32]:
        """Return one score `(n,)` by its index; higher means more out-of-distribution."""
        return self._batch.scores[self._start : self._stop, column]

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, index: int) -> Verdict: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Verdict]: ...
    def __getitem__(self, index: int | slice) -> Verdict | Sequence[Verdict]:
        return self._batch.verdicts[self._start : self._stop][index]

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self._batch.verdicts[self._start : self._stop])

    def subset(self, start: int, stop: int) -> "Verdicts":
        """Return the verdicts on images `start` to `stop` of these, without a copy."""
        return Verdicts(self._batch, self._start + start, self._start + stop)

    def __add__(self, others: "Verdicts") -> "Verdicts":
        """Concatenate with verdicts of the same model and policy."""
        if not self:
            return others
        pairs = zip(self.arrays.per_image, others.arrays.per_image, strict=True)
        joined = self._batch.with_per_image(*(np.concatenate(pair) for pair in pairs))
        return Verdicts(joined, 0, len(joined.rejected))


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
