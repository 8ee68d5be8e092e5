"""What was measured of a wrapped classifier, as data: its evaluation.json."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CleanResult(_Frozen):
    """One out-of-distribution set against the measured half, unattacked."""

    images: int
    auroc: float
    missed_ood_rate: float


class ScoreFigures(_Frozen):
    """One score at the threshold that the policy sets for it, on images that set no threshold."""

    threshold: float
    false_rejection_rate: float
    sets: dict[str, CleanResult]


class WrapReport(_Frozen):
    """The figures of a wrapped classifier: clean ones alone.

    `attacked` says that nothing was measured under attack: wrapping takes a minute, an attack
    longer, and `evaluate` makes it on the bundle.
    """

    kind: Literal["wrapped"] = "wrapped"
    attacked: Literal["not measured"] = "not measured"
    score: str
    alpha: float
    delta: float | None
    pixels: str
    outputs: str
    calibration_images: int
    accuracy: float
    accuracy_images: int
    chance: float
    scores: dict[str, ScoreFigures]
    hardware: str
    command: str

    @property
    def hardly_better_than_chance(self) -> bool:
        """Whether mean, std, scale or class order are probably not the classifier's."""
        return self.accuracy < 2 * self.chance
