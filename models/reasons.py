"""Reasons for a rejection: how the image itself differs from the calibration images.

For every quantity of `qualities`, the calibration images give the range that a new image of their
distribution leaves with probability at most `SIDE_RATE` to each side that is a reason. By
Bonferroni, an in-distribution image has a wrong reason with probability at most `FAMILY_RATE`
(Dunn 1961, "Multiple comparisons among means"; each side is the test of a conformal p-value, Vovk
et al. 2005). Among rejected in-distribution images, the share can be larger.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import images_required, rejection_rank
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.group_calibration import group_threshold
from oodguard.models.qualities import PIXEL_QUALITIES, SIZE_QUALITIES, size_qualities

ReasonCode: TypeAlias = Literal[
    "blank",
    "too_dark",
    "too_bright",
    "low_contrast",
    "high_contrast",
    "blurred",
    "noisy",
    "unusual_aspect",
    "unusual_size",
    "between_classes",
    "unlike_classes",
    "repeated",
]
"""A stable name of a reason."""

Size: TypeAlias = tuple[int, int]
"""The width and height in the header of an image file, in pixels."""

FAMILY_RATE: Final = 0.05
"""The largest probability that an in-distribution image has a reason of `SIDES`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """A reason for a rejection.

    Attributes:
        code: The stable name.
        detail: A sentence for a person.
        value: The measured value.
        range: The lowest and the highest value of nearly all calibration images; None: no bound,
            or no range.
    """

    code: ReasonCode
    detail: str
    value: float
    range: tuple[float | None, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a quantity.

    Attributes:
        code: The reason on this side.
        quality: The quantity.
        is_high: Whether values above the range are the reason, and not those below it.
        text: Completes "The image ...".
        widening: A margin of the range, in the unit of the quantity, because calibration images may
            all have the same value.
        is_factor: Whether the margin is a factor instead.
    """

    code: ReasonCode
    quality: str
    is_high: bool
    text: str
    widening: float
    is_factor: bool = False

    def limit(self, column: NDArray[np.float32], groups: NDArray[np.int32] | None) -> float:
        """Return the bound of the values `(n,)` of the calibration images on this side.

        It is the k-th smallest or largest value with k = floor(`SIDE_RATE` (n + 1)); with groups,
        which count instead of the images, that of `group_threshold`.
        """
        outward = column if self.is_high else -column
        if groups is None:
            rank = rejection_rank(len(outward), alpha=SIDE_RATE, delta=None)
            bound = float(np.sort(outward)[len(outward) - rank])
        else:
            bound = group_threshold(outward, groups, alpha=SIDE_RATE, delta=None)
        bound = bound if self.is_high else -bound
        if self.is_factor:
            return bound * self.widening if self.is_high else bound / self.widening
        return bound + self.widening if self.is_high else bound - self.widening


SIDES: Final = (
    Side("blank", "blank", True, "is blank, as a whole or in part", 0.02),
    Side("too_dark", "brightness", False, "is too dark", 1),
    Side("too_bright", "brightness", True, "is too bright", 1),
    Side("low_contrast", "contrast", False, "has too little contrast", 1),
    Side("high_contrast", "contrast", True, "has too much contrast", 1),
    Side("blurred", "sharpness", False, "is blurred", 0.01),
    Side("noisy", "noise", True, "is noisy", 0.01),
    Side("unusual_aspect", "aspect", False, "is unusually high for its width", 1.1, True),
    Side("unusual_aspect", "aspect", True, "is unusually wide for its height", 1.1, True),
    Side("unusual_size", "size", False, "is unusually small", 1.5, True),
    Side("unusual_size", "size", True, "is unusually large", 1.5, True),
)
"""The reasons that quantities give, in the order in which they are stated."""

SIDE_RATE: Final = FAMILY_RATE / len(SIDES)
"""The largest probability that an in-distribution image is beyond one side (Bonferroni)."""

IMAGES_REQUIRED: Final = images_required(SIDE_RATE, None)
"""The smallest number of calibration images, or of their groups, that give ranges."""

_NAMES = {name: place for place, name in enumerate((*PIXEL_QUALITIES, *SIZE_QUALITIES))}

# Between classes: the second class has at least half the probability of the first, and both
# together have at least three quarters, which excludes a third one that is as likely.
_RUNNER_UP_SHARE, _PAIR_SHARE = 0.5, 0.75


@dataclass(frozen=True)
class _Limit:
    side: Side
    place: int
    bound: float
    range: tuple[float | None, float | None]

    @cached_property
    def text(self) -> str:
        """The sentence of a reason, with a place for the value: a request waits for it."""
        low, high = self.range
        if low is None:
            expected = f"at most {high:.3g}"
        elif high is None:
            expected = f"at least {low:.3g}"
        else:
            expected = f"{low:.3g} to {high:.3g}"
        noun = "blank share" if self.side.quality == "blank" else self.side.quality
        return (
            f"The image {self.side.text}: its {noun} is %.3g, that of nearly all calibration images"
            f" {expected}."
        )


class Explainer:
    """States why images are rejected, by the ranges of a bundle's calibration images.

    Args:
        rows: The calibration images. If they have no quantities, or they or their groups are fewer
            than `IMAGES_REQUIRED`, the only reasons are `unlike_classes` and `between_classes`.
        classes: The names of the classes.
    """

    def __init__(self, rows: CalibrationRows, classes: Sequence[str]) -> None:
        self._classes = classes
        self._limits = _limits(rows)
        # Tuples are read in half the time, and requests wait for it.
        self._bounds = tuple(
            (limit.place, limit.side.is_high, limit.bound, limit) for limit in self._limits
        )
        self._sizes = any(limit.side.quality in SIZE_QUALITIES for limit in self._limits)

    @property
    def measures(self) -> bool:
        """Whether the pixels of rejected images are measured."""
        return bool(self._limits)

    @property
    def codes(self) -> tuple[ReasonCode, ...]:
        """The reasons that can be stated about an image, except that it is repeated."""
        own = dict.fromkeys(limit.side.code for limit in self._limits)
        return (*own, "between_classes", "unlike_classes")

    def explain(  # noqa: PLR0913 - one image with its verdict
        self,
        measured: Sequence[float],
        size: Size | None,
        logits: NDArray[np.float32],
        *,
        class_id: int,
        confidence: float,
        p_value: float,
    ) -> tuple[Reason, ...]:
        """Return the reasons for the rejection of an image, at least one.

        Args:
            measured: The `PIXEL_QUALITIES` of the image, if the explainer `measures`.
            size: From the header of the image file; None: unknown.
            logits: The logits `(K,)`.
            class_id: The index of the largest logit.
            confidence: The softmax probability of that class.
            p_value: The p-value of the deciding score.
        """
        found = self._beyond_ranges(measured, size) if self._limits else ()
        return found or (self._of_classes(logits, class_id, confidence, p_value),)

    def _beyond_ranges(self, measured: Sequence[float], size: Size | None) -> tuple[Reason, ...]:
        values = measured
        if size is not None and self._sizes:
            values = (*values, *size_qualities(*size))
        known = len(values)
        return tuple(
            [
                _reason(limit, values[place])
                for place, is_high, bound, limit in self._bounds
                if place < known and (values[place] > bound if is_high else values[place] < bound)
            ]
        )

    def _of_classes(
        self, logits: NDArray[np.float32], class_id: int, confidence: float, p_value: float
    ) -> Reason:
        values = logits.tolist()
        first = values[class_id]
        values[class_id] = -math.inf
        second = values.index(max(values))
        runner_up = confidence * math.exp(values[second] - first)
        if runner_up >= _RUNNER_UP_SHARE * confidence and confidence + runner_up >= _PAIR_SHARE:
            detail = (
                f"The image is between the classes {self._classes[class_id]} and"
                f" {self._classes[second]}: their probabilities are"
                f" {confidence:.2f} and {runner_up:.2f}."
            )
            return Reason(code="between_classes", detail=detail, value=confidence - runner_up)
        detail = f"The image is unlike the training classes: its p-value is {p_value:.2g}."
        return Reason(code="unlike_classes", detail=detail, value=p_value)


def repeated(count: int) -> Reason:
    """Return the reason for an image whose pixels were rejected `count` times before."""
    times = "once" if count == 1 else f"{count} times"
    detail = f"The same pixels of the same client were rejected {times} before."
    return Reason(code="repeated", detail=detail, value=count)


def missing_ranges(rows: CalibrationRows) -> str | None:
    """Return in words why no reason names a quality of the image; None: reasons do."""
    if not rows.qualities:
        return "the bundle has no qualities of its calibration images"
    count = len(rows) if rows.group_count is None else rows.group_count
    if count >= IMAGES_REQUIRED:
        return None
    unit = "images" if rows.group_count is None else "groups"
    return f"the bundle has {count} calibration {unit}, expected at least {IMAGES_REQUIRED}"


def _limits(rows: CalibrationRows) -> tuple[_Limit, ...]:
    if missing_ranges(rows) is not None:
        return ()
    sides = [side for side in SIDES if side.quality in rows.qualities]
    bounds = {
        (side.quality, side.is_high): side.limit(rows.qualities[side.quality], rows.groups)
        for side in sides
    }
    return tuple(
        _Limit(
            side,
            _NAMES[side.quality],
            bounds[side.quality, side.is_high],
            (bounds.get((side.quality, False)), bounds.get((side.quality, True))),
        )
        for side in sides
    )


def _reason(limit: _Limit, value: float) -> Reason:
    code, detail = limit.side.code, limit.text % value
    return Reason(code=code, detail=detail, value=value, range=limit.range)
