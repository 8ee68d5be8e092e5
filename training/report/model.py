"""The result of an evaluation as data: `Report` is the content of evaluation.json."""

import tomllib
from typing import Literal

from pydantic import ConfigDict, Field

from oodguard.models.decision import Policy
from oodguard.models.frozen_model import FrozenModel
from oodguard.training.config.suites import Suite
from oodguard.training.data.card import SourceNotes
from oodguard.training.report.class_results import ClassResult, PredictedClass
from oodguard.training.run_progress import WeightsOrigin

Side = Literal["clean", "in_attacked", "out_attacked", "both_attacked"]
"""The attacked images: none, the in-distribution images, the outliers, or both."""


class Interval(FrozenModel):
    """The 95 % bootstrap interval over the images."""

    low: float
    high: float


class Ranking(FrozenModel):
    """Threshold-free measures of one set of outliers against the test set, all in [0, 1].

    `metrics.ranking` computes them. `id_rejected_at_95_ood_recall` is FPR95 with outliers as
    positives (OpenOOD, pytorch-ood). `ood_accepted_at_95_id_acceptance` is FPR95 with
    in-distribution images as positives (ALOE, ATOM).
    """

    auroc: float
    auroc_interval: Interval
    aupr_in: float
    aupr_out: float
    detection_error: float
    id_rejected_at_95_ood_recall: float
    ood_accepted_at_95_id_acceptance: float


class SetResult(FrozenModel):
    """One out-of-distribution set against the test set under one budget.

    The keys of `rankings` are `clean` at budget 0, else the three attacked sides. `missed_ood_rate`
    is the fraction of outliers accepted at the served threshold.
    """

    images: int
    rankings: dict[Side, Ranking]
    missed_ood_rate: float


class Decisions(FrozenModel):
    """Outcomes of in-distribution images at the served threshold, as fractions that sum to 1."""

    accepted_right: float
    accepted_wrong: float
    rejected: float

    @property
    def accuracy_of_accepted(self) -> float | None:
        """The accuracy on the accepted images, or None if no image is accepted."""
        accepted = self.accepted_right + self.accepted_wrong
        return self.accepted_right / accepted if accepted else None


class InlierResult(FrozenModel):
    """The test set under one budget.

    `accuracy` and `decisions` are of the images attacked towards rejection (clean at budget 0).
    `end_to_end` are the outcomes of images attacked towards a wrong class and acceptance at once,
    or None if this attack was not run.
    """

    images: int
    accuracy: float
    decisions: Decisions
    end_to_end: Decisions | None


class MeanAuroc(FrozenModel):
    """The unweighted mean AUROC over the sets, and its interval."""

    auroc: float
    auroc_interval: Interval


class Replayed(FrozenModel):
    """The results of the exported graph on the same images, rounded to whole 255ths.

    The rounded images are still within the budget. AUROC is that of `Condition.side`.
    """

    auroc: dict[str, float]
    missed_ood_rate: dict[str, float]
    false_rejection_rate: float
    wrong_and_accepted: float | None

    @property
    def mean_auroc(self) -> float:
        """The unweighted mean AUROC over the sets."""
        return sum(self.auroc.values()) / len(self.auroc)


class ConditionScores(FrozenModel):
    """The deciding scores of the images of a condition, ascending; of many images, quantiles.

    With them, the outcome of another threshold is known without another evaluation.
    """

    inliers: tuple[float, ...]
    sets: dict[str, tuple[float, ...]]


class Condition(FrozenModel):
    """All sets under one attack budget; `epsilon_255` 0 is clean. Computed in torch, float32."""

    epsilon_255: float
    inliers: InlierResult
    sets: dict[str, SetResult]
    mean: dict[Side, MeanAuroc]
    replayed: Replayed | None
    scores: ConditionScores | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def side(self) -> Side:
        """The side that tables show: both attacked, or clean at budget 0."""
        return "both_attacked" if self.epsilon_255 else "clean"

    @property
    def mean_auroc(self) -> float:
        """The unweighted mean AUROC over the sets, for `side`."""
        return self.mean[self.side].auroc

    @property
    def mean_missed_ood_rate(self) -> float:
        """The unweighted mean over the sets."""
        return sum(result.missed_ood_rate for result in self.sets.values()) / len(self.sets)

    @property
    def false_rejection_rate(self) -> float:
        """The fraction of the test set that is rejected at the served threshold."""
        return self.inliers.decisions.rejected

    def auroc(self, name: str) -> float:
        """Return the AUROC of the set `name`, for `side`."""
        return self.sets[name].rankings[self.side].auroc


class ScoreResult(FrozenModel):
    """All conditions by one score, the clean one first, and its served threshold."""

    score: str
    threshold: float
    conditions: tuple[Condition, ...]


Outcome = Literal["passed", "failed", "not checked"]
Stamp = Literal["trusted", "partly checked", "not checked", "untrusted"]


class Check(FrozenModel):
    """One gradient-masking check: the measured figure, the expected one, and the outcome.

    `reason` states why a check has no outcome, and what gives it one if something does; None if it
    has one, and in older reports. In evaluation.json `expected` has the name of its alias.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    name: str
    outcome: Outcome
    figure: float | None
    expected: str = Field(alias="wanted")
    reason: str | None = Field(default=None, exclude_if=lambda value: value is None)


class Trust(FrozenModel):
    """The gradient-masking checks and their verdict on the attacked figures.

    An attack that does not work makes a model look more robust than it is. `epsilon_255` is the
    L-infinity radius of the attacks that the checks compare, in 255ths; None without these attacks
    and in older reports.
    """

    stamp: Stamp
    checks: tuple[Check, ...]
    epsilon_255: float | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def without_outcome(self) -> tuple[Check, ...]:
        """The checks that neither passed nor failed."""
        return tuple(check for check in self.checks if check.outcome == "not checked")


class Twin(FrozenModel):
    """The other run or bundle whose attack was tried on the target, and its training method."""

    name: str
    method: str | None


class Report(FrozenModel):
    """The figures of a run or bundle under one policy and one suite.

    Attributes:
        measured: "run", or the sha256 of the bundle's manifest before the report was written into
            the bundle, which changes it.
        weights: The sha256 of the checkpoint of the run, or of the bundle's model.onnx, which stays
            the same; None in older reports.
        alpha: The largest fraction of false rejections that the policy allows.
        delta: 1 - confidence in alpha, or None.
        calibration_images: The number of images that set the threshold.
        calibration_groups: The number of their groups, which is the one that counts, or None.
        accuracy: The clean accuracy on `accuracy_images` test images.
        method: The training method of the target, "wrapped" for a classifier that was trained
            elsewhere; None in older reports.
        classes: The results of the same images by class; empty in older reports.
        predicted_classes: The calibration images by predicted class; empty in older reports, and
            for bundles without predicted classes.
        training_accuracy: That of the last epoch, on the images as they were trained on; None for
            a bundle.
        finished_epochs: The number of finished epochs of a run that is not finished; else None.
        inliers: The hash of the inliers of the training, their order and their groups; None in
            older reports.
        teacher: The network that this one learned from, or None.
        started_from: The weights that its training started from, or None.
        data: The images left out of each source of the recipe, by its key; empty in older reports.
        results: The deciding score first, then the other scores that were measured.
        twin: Where the attack of the transfer check comes from; None: nowhere, or an older report.
        replayed_by: The runtime of the replayed figures, or None.
        straight_through: Whether the attacks' gradients ignore the rounding of an INT8 graph.
        recipe: The TOML text of the run's recipe, which names the data sources.
    """

    schema_version: Literal[2] = 2
    name: str
    measured: str
    weights: str | None = None
    suite: Suite
    test_set: str
    alpha: float
    delta: float | None
    calibration_images: int
    calibration_groups: int | None = Field(default=None, exclude_if=lambda value: value is None)
    accuracy: float
    accuracy_images: int
    method: str | None = None
    classes: tuple[ClassResult, ...] = ()
    predicted_classes: tuple[PredictedClass, ...] = Field(
        default=(), exclude_if=lambda value: not value
    )
    training_accuracy: float | None = None
    finished_epochs: int | None = Field(default=None, exclude_if=lambda value: value is None)
    inliers: str | None = Field(default=None, exclude_if=lambda value: value is None)
    teacher: WeightsOrigin | None = Field(default=None, exclude_if=lambda value: value is None)
    started_from: WeightsOrigin | None = Field(default=None, exclude_if=lambda value: value is None)
    data: dict[str, SourceNotes] = Field(default_factory=dict)
    results: tuple[ScoreResult, ...]
    trust: Trust
    twin: Twin | None = Field(default=None, exclude_if=lambda value: value is None)
    replayed_by: str | None
    straight_through: bool = False
    recipe: str
    duration_s: float
    hardware: str
    command: str

    @property
    def score(self) -> str:
        """The deciding score."""
        return self.results[0].score

    @property
    def threshold(self) -> float:
        """The threshold of the deciding score."""
        return self.results[0].threshold

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of the deciding score, the clean one first."""
        return self.results[0].conditions

    @property
    def highlighted(self) -> Condition | None:
        """The attacked condition that the page highlights, or None if nothing was attacked.

        Its budget is the one that the run was hardened at, else the smallest one.
        """
        attacked = [condition for condition in self.conditions if condition.epsilon_255]
        hardened = tomllib.loads(self.recipe).get("attack", {}).get("epsilon_255")
        same = [condition for condition in attacked if condition.epsilon_255 == hardened]
        return next(iter(same or attacked), None)

    @property
    def policy(self) -> Policy:
        """The policy that set the threshold."""
        return Policy(score=self.score, alpha=self.alpha, delta=self.delta)
