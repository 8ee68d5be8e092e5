"""What an evaluation found, as data: the content of evaluation.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from oodguard.models.decision import Policy
from oodguard.training.config.suites import Suite

Scores = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionEvidence:
    """Every image's score under one budget; `epsilon_255` 0 is clean.

    `inliers` `(n,)` pushed towards rejection and, by set, `outliers` `(m,)` pushed towards
    acceptance; image i is the same one under every budget. Higher means more out-of-distribution.
    One side attacked alone is this condition's one side beside the clean condition's other.
    """

    epsilon_255: float
    inliers: Scores
    outliers: Mapping[str, Scores]


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseAccept:
    """An outlier that the attack had accepted.

    `clean` is uint8 `(H, W, 3)`, `attacked` float32 `(H, W, 3)` in [0, 1] within `epsilon_255`
    255ths of it; `score` is that of `attacked`, `clean_score` that of `clean`.
    """

    set_name: str
    epsilon_255: float
    clean: NDArray[np.uint8]
    attacked: NDArray[np.float32]
    clean_score: float
    score: float
    predicted_class: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationEvidence:
    """The score that decides, image by image, and its worst mistakes.

    `conditions` are in the report's order, the clean one first. `worst_accepts` holds some outliers
    of every set under every budget above 0, the lowest scores first within each.
    """

    score: str
    threshold: float
    conditions: tuple[ConditionEvidence, ...]
    worst_accepts: tuple[FalseAccept, ...]


Side = Literal["clean", "in_attacked", "out_attacked", "both_attacked"]
"""Which images were attacked: none, the in-distribution ones, the outliers, or both."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Frozen):
    """A 95 % bootstrap interval over the images."""

    low: float
    high: float


class Ranking(_Frozen):
    """How well the score ranks one set of outliers above the test set; shares, all in [0, 1].

    `id_rejected_at_95_ood_recall` is FPR95 with outliers as positives (OpenOOD, pytorch-ood);
    `ood_accepted_at_95_id_acceptance` is FPR95 with in-distribution images as positives (ALOE,
    ATOM). `detection_error` is the least mean of both error rates over all thresholds.
    """

    auroc: float
    auroc_interval: Interval
    aupr_in: float
    aupr_out: float
    detection_error: float
    id_rejected_at_95_ood_recall: float
    ood_accepted_at_95_id_acceptance: float


class SetResult(_Frozen):
    """One out-of-distribution set against the test set under one budget.

    `rankings` holds `clean` alone where the budget is 0, else the three attacked sides.
    `missed_ood_rate` is the share that is accepted at the served threshold.
    """

    images: int
    rankings: dict[Side, Ranking]
    missed_ood_rate: float


class Decisions(_Frozen):
    """What becomes of in-distribution images at the served threshold; the shares add up to 1."""

    accepted_right: float
    accepted_wrong: float
    rejected: float

    @property
    def accuracy_of_accepted(self) -> float | None:
        """The share of right answers among those given; None where none is."""
        accepted = self.accepted_right + self.accepted_wrong
        return self.accepted_right / accepted if accepted else None


class InlierResult(_Frozen):
    """The test set under one budget.

    `accuracy` and `decisions` are those of images pushed towards rejection (clean at budget 0), and
    `end_to_end` is what becomes of images pushed to a wrong class that is accepted; None where
    that was not tried.
    """

    images: int
    accuracy: float
    decisions: Decisions
    end_to_end: Decisions | None


class MeanAuroc(_Frozen):
    """The plain mean of the sets' AUROC, and its interval."""

    auroc: float
    auroc_interval: Interval


class Replayed(_Frozen):
    """The same images in whole 255ths, still within the budget, as ONNX Runtime scores them.

    AUROC is that of the condition's own side: clean, or both attacked.
    """

    auroc: dict[str, float]
    missed_ood_rate: dict[str, float]
    false_rejection_rate: float
    wrong_and_accepted: float | None

    @property
    def mean_auroc(self) -> float:
        """The plain mean over the sets."""
        return sum(self.auroc.values()) / len(self.auroc)


class Condition(_Frozen):
    """All sets under one attack budget; `epsilon_255` 0 is clean. Figures are torch's, float32."""

    epsilon_255: float
    inliers: InlierResult
    sets: dict[str, SetResult]
    mean: dict[Side, MeanAuroc]
    replayed: Replayed | None

    @property
    def side(self) -> Side:
        """The side that a table shows: both attacked, or clean at budget 0."""
        return "both_attacked" if self.epsilon_255 else "clean"

    @property
    def mean_auroc(self) -> float:
        """The plain mean over the sets, of the side that a table shows."""
        return self.mean[self.side].auroc

    @property
    def mean_missed_ood_rate(self) -> float:
        """The plain mean over the sets."""
        return sum(result.missed_ood_rate for result in self.sets.values()) / len(self.sets)

    @property
    def false_rejection_rate(self) -> float:
        """The share of the test set that is rejected at the served threshold."""
        return self.inliers.decisions.rejected

    def auroc(self, name: str) -> float:
        """Return the AUROC of the set `name`, of the side that a table shows."""
        return self.sets[name].rankings[self.side].auroc


class ScoreResult(_Frozen):
    """All conditions by one score, the clean one first; `threshold` is the one that is served."""

    score: str
    threshold: float
    conditions: tuple[Condition, ...]


class Check(_Frozen):
    """One check of the attack: what it found, what was wanted, and whether that was met."""

    name: str
    outcome: Literal["passed", "failed", "not checked"]
    figure: float | None
    wanted: str


class Trust(_Frozen):
    """Whether the attacked figures are those of an attack that works.

    A figure of an attack that does not work shows robustness that is not there.
    """

    stamp: Literal["trusted", "partly checked", "not checked", "untrusted"]
    checks: tuple[Check, ...]


class Report(_Frozen):
    """A run's or bundle's figures under one policy and one suite.

    `results` holds the score that decides first, then those that are measured beside it.
    `recipe` is the TOML text of the run, which says where the data come from; `measured` is "run"
    or the sha256 of the bundle, `replayed_by` the runtime of the replayed figures.
    """

    schema_version: Literal[2] = 2
    name: str
    measured: str
    suite: Suite
    test_set: str
    alpha: float
    delta: float | None
    calibration_images: int
    accuracy: float
    accuracy_images: int
    results: tuple[ScoreResult, ...]
    trust: Trust
    replayed_by: str | None
    recipe: str
    duration_s: float
    hardware: str
    command: str

    @property
    def score(self) -> str:
        """The score that decides."""
        return self.results[0].score

    @property
    def threshold(self) -> float:
        """The threshold of the score that decides."""
        return self.results[0].threshold

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of the score that decides, the clean one first."""
        return self.results[0].conditions

    @property
    def policy(self) -> Policy:
        """The policy that the threshold was set by."""
        return Policy(score=self.score, alpha=self.alpha, delta=self.delta)
