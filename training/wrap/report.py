"""The figures of a wrapped classifier on clean images, as data."""

from typing import Literal

from pydantic import Field

from oodguard.models.frozen_model import FrozenModel
from oodguard.training.report.chance_warnings import (
    chance_warnings,
    missed_warnings,
)
from oodguard.training.report.markdown import percent
from oodguard.training.wrap.trials import GIVEN, Trials


class CleanResult(FrozenModel):
    """One out-of-distribution set, not attacked."""

    images: int
    auroc: float
    missed_ood_rate: float


class ScoreFigures(FrozenModel):
    """One score at the threshold of the policy, on images that did not set the threshold."""

    threshold: float
    false_rejection_rate: float
    sets: dict[str, CleanResult]


class WrapReport(FrozenModel):
    """The evaluation.json of a wrapped classifier.

    `attacked` records that nothing was measured under attack: wrapping takes a minute, an attack
    takes longer, and `oodguard-train evaluate` runs it on the bundle.
    """

    kind: Literal["wrapped"] = "wrapped"
    attacked: Literal["not measured"] = "not measured"
    score: str
    alpha: float
    delta: float | None
    pixels: str
    outputs: str
    features: str | None = None
    images_read: tuple[str, ...] = ()
    calibration_images: int
    calibration_groups: int | None = Field(default=None, exclude_if=lambda value: value is None)
    accuracy: float
    accuracy_images: int
    chance: float
    trials: Trials | None = None
    scores: dict[str, ScoreFigures]
    hardware: str
    command: str

    @property
    def mean_aurocs(self) -> dict[str, float]:
        """The mean AUROC over the out-of-distribution sets, by score; empty without sets."""
        return {
            name: sum(each.auroc for each in column.sets.values()) / len(column.sets)
            for name, column in self.scores.items()
            if column.sets
        }

    @property
    def suggested(self) -> str | None:
        """The score with the highest mean AUROC over the out-of-distribution sets."""
        aurocs = self.mean_aurocs
        return max(aurocs, key=aurocs.__getitem__) if aurocs else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of a preprocessing in doubt, else of sets that are hardly rejected.

        Another preprocessing changes the scores, so they are compared once the accuracy is right.
        """
        return self._accuracy_warnings() or self._miss_warnings()

    @property
    def is_in_doubt(self) -> bool:
        """Whether the accuracy is near chance, or another preprocessing has a higher one."""
        return bool(self._accuracy_warnings())

    def _miss_warnings(self) -> tuple[str, ...]:
        missed = {
            name: result.missed_ood_rate for name, result in self.scores[self.score].sets.items()
        }
        if self.suggested not in {None, self.score}:
            remedy = f"{self.suggested} has the highest mean AUROC: --score {self.suggested}"
        elif self.features is None:
            remedy = "no other score has a higher mean AUROC; --fit adds scores of the features"
        else:
            remedy = "no other score has a higher mean AUROC"
        return missed_warnings(self.score, missed, remedy)

    def _accuracy_warnings(self) -> tuple[str, ...]:
        """Return the warning of a low accuracy with its cause, as far as the trials found it."""
        low = chance_warnings(
            accuracy=self.accuracy, images=self.accuracy_images, classes=round(1 / self.chance)
        )
        trials = self.trials
        if trials is not None and trials.is_improved:
            options, order, accuracy = trials.best
            lead = low[0] if low else f"the accuracy is only {percent(self.accuracy)}"
            given = percent(trials.tried[0].accuracies[GIVEN])
            is_addition = options.startswith("--channel-order")
            replaced = "" if is_addition else " instead of the given preprocessing"
            remedies = [f"{options}{replaced}"] if options != GIVEN else []
            if order != GIVEN:
                remedies.append("--classes FILE, in the order that is listed with the trials")
            return (
                f"{lead}. On {trials.images} of the images it is {given} as given and"
                f" {percent(accuracy)} with {trials.best_change}: wrap the classifier again with"
                f" {' and '.join(remedies)}",
            )
        return tuple(
            f"{each}. No other channel order, normalization or class order that was tried is"
            " significantly better: check --mean, --std, --layout, --resize and --outputs, and that"
            " --data has images and classes of this classifier"
            for each in low
        )
