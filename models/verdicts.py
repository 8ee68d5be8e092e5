"""Verdicts on many images: the arrays they were decided in, and one object an image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What is said of one image.

    `confidence` is the softmax probability of the predicted class; `p_value` and `decision` are by
    the policy's score. All `scores` of the bundle are told, by name, higher meaning more OOD.
    """

    label: str
    class_id: int
    confidence: float
    scores: Mapping[str, float]
    p_value: float
    decision: Literal["accept", "reject"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """What is said of n images, one array a fact.

    Attributes:
        classes: Names of the K classes.
        score_names: Names of the S scores.
        logits: `(n, K)`, as the graph gave them.
        scores: `(n, S)`, as the graph gave them, higher meaning more OOD.
        class_ids: `(n,)`, the place of the largest logit.
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
        """One object an image, made once for all who share the arrays."""
        rows = zip(*(array.tolist() for array in self.arrays[1:]), strict=True)
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
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The arrays, in the order in which they stand here."""
        return (
            self.logits,
            self.scores,
            self.class_ids,
            self.confidences,
            self.p_values,
            self.rejected,
        )

    def of(self, *arrays: NDArray[Any]) -> "Columns":
        """The same facts of other images: `arrays` in the order of `arrays`."""
        logits, scores, class_ids, confidences, p_values, rejected = arrays
        return Columns(
            classes=self.classes,
            score_names=self.score_names,
            logits=logits,
            scores=scores,
            class_ids=class_ids,
            confidences=confidences,
            p_values=p_values,
            rejected=rejected,
        )


class Verdicts(Sequence[Verdict]):
    """The verdicts on some of the images that were judged together, in their order.

    A batch is judged in arrays and shared out without touching them, so that a request costs the
    same whatever its batch; who wants its arrays takes them out with `columns`.

    Args:
        batch: What is said of all images.
        start: The first image that is meant.
        stop: The one behind the last.
    """

    __slots__ = ("_batch", "_start", "_stop")

    def __init__(self, batch: Columns, start: int, stop: int) -> None:
        self._batch = batch
        self._start = start
        self._stop = stop

    @property
    def columns(self) -> Columns:
        """The arrays, of these images alone."""
        return self._batch.of(*(each[self._start : self._stop] for each in self._batch.arrays))

    def scores(self, place: int) -> NDArray[np.float32]:
        """One of the scores, by its place among their names: `(n,)`, higher meaning more OOD."""
        return self._batch.scores[self._start : self._stop, place]

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

    def part(self, start: int, stop: int) -> "Verdicts":
        """The verdicts on images `start` to `stop` of these."""
        return Verdicts(self._batch, self._start + start, self._start + stop)

    def then(self, others: "Verdicts") -> "Verdicts":
        """Join these and others of the same model and policy."""
        if not self:
            return others
        pairs = zip(self.columns.arrays, others.columns.arrays, strict=True)
        joined = self._batch.of(*(np.concatenate(pair) for pair in pairs))
        return Verdicts(joined, 0, len(joined.rejected))


NO_VERDICTS: Final = Verdicts(
    Columns(
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
