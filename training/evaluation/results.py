"""Compute the figures of a report from attack results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from oodguard.models.decision import rejects
from oodguard.training.report.class_results import ClassResult
from oodguard.training.report.evidence import (
    ConditionEvidence,
    EvaluationEvidence,
    FalseAccept,
    Scores,
)
from oodguard.training.report.metrics import (
    auroc,
    auroc_intervals,
    false_rejection_rate,
    missed_ood_rate,
    ranking,
)
from oodguard.training.report.model import (
    Condition,
    ConditionScores,
    Decisions,
    InlierResult,
    MeanAuroc,
    Ranking,
    Replayed,
    ScoreResult,
    SetResult,
    Side,
)

Classes = NDArray[np.int64]

STORED_SCORES = 400
"""The most scores of a set that a report stores; of more, it stores as many quantiles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """Scores `(n,)`, higher is more OOD, and predicted classes `(n,)` of images."""

    scores: Scores
    classes: Classes


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackResult:
    """One image set attacked within one epsilon in [0, 1] pixel units; 0 is clean.

    The predictions are torch's, in float32. `replayed` are those of the served graph on the same
    images rounded to uint8, None if the score is not in the graph. `false_accepts` are outliers
    that were accepted, lowest scores first.
    """

    epsilon: float
    predictions: Predictions
    replayed: Predictions | None
    false_accepts: tuple[FalseAccept, ...] = ()


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Concatenate the predictions of consecutive batches."""
    return Predictions(
        scores=np.concatenate([part.scores for part in parts]),
        classes=np.concatenate([part.classes for part in parts]),
    )


def in_255ths(epsilon: float) -> float:
    """Convert an epsilon in [0, 1] to the unit of reports."""
    return round(epsilon * 255, 6)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreEvaluation:
    """All attack results of one score; tuples have one entry per epsilon, the clean one first.

    `labels` `(n,)` are the true classes of the inliers. `end_to_end` has no clean entry; it is
    empty if that attack was not run.
    """

    score: str
    threshold: float
    labels: Classes
    inliers: tuple[AttackResult, ...]
    outliers: Mapping[str, tuple[AttackResult, ...]]
    end_to_end: tuple[AttackResult, ...] = ()

    def outlier_scores(self, index: int) -> dict[str, Scores]:
        """Return the scores of the epsilon at `index` by set."""
        return {name: results[index].predictions.scores for name, results in self.outliers.items()}

    def decisions(self, predictions: Predictions) -> Decisions:
        """Return the decisions on in-distribution images at the threshold."""
        rejected = rejects(predictions.scores, self.threshold)
        right = predictions.classes == self.labels
        return Decisions(
            accepted_right=float(np.mean(~rejected & right)),
            accepted_wrong=float(np.mean(~rejected & ~right)),
            rejected=float(np.mean(rejected)),
        )


def score_result(evaluation: ScoreEvaluation, *, seed: int) -> ScoreResult:
    """Return the figures of one score; `seed` seeds the bootstrap."""
    end_to_end = (None, *evaluation.end_to_end) if evaluation.end_to_end else repeat(None)
    conditions = [
        _condition(evaluation, index, attacked, np.random.default_rng(seed))
        for index, attacked in zip(range(len(evaluation.inliers)), end_to_end, strict=False)
    ]
    return ScoreResult(
        score=evaluation.score, threshold=evaluation.threshold, conditions=tuple(conditions)
    )


def class_results(
    labels: Classes, predicted: Classes, rejected: NDArray[np.bool_], names: Sequence[str]
) -> tuple[ClassResult, ...]:
    """Return the results of each class on clean images.

    From true and predicted classes `(n,)`, and whether each image was rejected `(n,)`.
    """
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return tuple(
        ClassResult(
            name=name,
            images=int(counts[index].sum()),
            correct=int(counts[index, index]),
            rejected=int(rejected[labels == index].sum()),
            confused={
                names[other]: int(counts[index, other])
                for other in np.argsort(-counts[index], kind="stable").tolist()
                if other != index and counts[index, other]
            },
        )
        for index, name in enumerate(names)
    )


def evidence(evaluation: ScoreEvaluation) -> EvaluationEvidence:
    """Return the scores of every image and the false accepts, for the charts of a report."""
    return EvaluationEvidence(
        threshold=evaluation.threshold,
        conditions=tuple(
            ConditionEvidence(
                epsilon_255=in_255ths(inliers.epsilon),
                inliers=inliers.predictions.scores,
                outliers=evaluation.outlier_scores(index),
            )
            for index, inliers in enumerate(evaluation.inliers)
        ),
        worst_accepts=tuple(
            case
            for results in evaluation.outliers.values()
            for result in results
            for case in result.false_accepts
        ),
    )


def _condition(
    evaluation: ScoreEvaluation,
    index: int,
    end_to_end: AttackResult | None,
    generator: np.random.Generator,
) -> Condition:
    inliers = evaluation.inliers[index]
    rankings: dict[Side, dict[str, Ranking]] = {}
    means: dict[Side, MeanAuroc] = {}
    for side, (inside, outside) in _sides(evaluation, index).items():
        rankings[side], means[side] = _rank(inside, outside, generator)
    return Condition(
        epsilon_255=in_255ths(inliers.epsilon),
        inliers=InlierResult(
            images=len(inliers.predictions.scores),
            accuracy=float((inliers.predictions.classes == evaluation.labels).mean()),
            decisions=evaluation.decisions(inliers.predictions),
            end_to_end=evaluation.decisions(end_to_end.predictions) if end_to_end else None,
        ),
        sets={
            name: SetResult(
                images=len(scores),
                rankings={side: by_set[name] for side, by_set in rankings.items()},
                missed_ood_rate=missed_ood_rate(scores, evaluation.threshold),
            )
            for name, scores in evaluation.outlier_scores(index).items()
        },
        mean=means,
        replayed=_replayed(evaluation, index, end_to_end),
        scores=ConditionScores(
            inliers=_ordered(inliers.predictions.scores),
            sets={name: _ordered(each) for name, each in evaluation.outlier_scores(index).items()},
        ),
    )


def _ordered(scores: Scores) -> tuple[float, ...]:
    """Return finite scores in ascending order, or `STORED_SCORES` quantiles of them."""
    ordered = np.sort(np.nan_to_num(scores.astype(np.float64), nan=np.inf))
    if len(ordered) > STORED_SCORES:
        places = (np.arange(STORED_SCORES) + 0.5) / STORED_SCORES * len(ordered)
        ordered = ordered[places.astype(np.int64)]
    largest = np.finfo(np.float32).max
    return tuple(float(f"{each:.7g}") for each in np.clip(ordered, -largest, largest).tolist())


def _sides(evaluation: ScoreEvaluation, index: int) -> dict[Side, tuple[Scores, dict[str, Scores]]]:
    """Return the inlier and outlier scores to rank by which side is attacked."""
    clean = evaluation.inliers[0].predictions.scores
    if index == 0:
        return {"clean": (clean, evaluation.outlier_scores(0))}
    attacked = evaluation.inliers[index].predictions.scores
    return {
        "in_attacked": (attacked, evaluation.outlier_scores(0)),
        "out_attacked": (clean, evaluation.outlier_scores(index)),
        "both_attacked": (attacked, evaluation.outlier_scores(index)),
    }


def _rank(
    inside: Scores, outside: Mapping[str, Scores], generator: np.random.Generator
) -> tuple[dict[str, Ranking], MeanAuroc]:
    intervals, interval = auroc_intervals(inside, outside, generator)
    ranked = {name: ranking(inside, scores, intervals[name]) for name, scores in outside.items()}
    mean = sum(each.auroc for each in ranked.values()) / len(ranked)
    return ranked, MeanAuroc(auroc=mean, auroc_interval=interval)


def _replayed(
    evaluation: ScoreEvaluation, index: int, end_to_end: AttackResult | None
) -> Replayed | None:
    inliers = evaluation.inliers[index].replayed
    outliers = {name: results[index].replayed for name, results in evaluation.outliers.items()}
    known = {name: replayed.scores for name, replayed in outliers.items() if replayed is not None}
    if inliers is None or len(known) < len(outliers):
        return None
    wrong = end_to_end.replayed if end_to_end else None
    limit = evaluation.threshold
    return Replayed(
        auroc={name: auroc(inliers.scores, scores) for name, scores in known.items()},
        missed_ood_rate={name: missed_ood_rate(scores, limit) for name, scores in known.items()},
        false_rejection_rate=false_rejection_rate(inliers.scores, limit),
        wrong_and_accepted=evaluation.decisions(wrong).accepted_wrong if wrong else None,
    )
