"""From what was found, image by image, to the figures of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from oodguard.models.decision import rejects
from oodguard.training.report.metrics import (
    auroc,
    auroc_intervals,
    false_rejection_rate,
    missed_ood_rate,
    ranking,
)
from oodguard.training.report.model import (
    Condition,
    ConditionEvidence,
    Decisions,
    EvaluationEvidence,
    FalseAccept,
    InlierResult,
    MeanAuroc,
    Ranking,
    Replayed,
    ScoreResult,
    Scores,
    SetResult,
    Side,
)

Classes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """The scores `(n,)`, higher more OOD, and predicted classes `(n,)` of some images."""

    scores: Scores
    classes: Classes


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackResult:
    """One set under one budget; `epsilon_255` 0 is clean.

    `answers` are torch's in float32; `replayed` those of the served graph on the same images in
    whole 255ths, None where the score is in no graph. `worst` holds outliers that were accepted,
    the lowest scores first.
    """

    epsilon_255: float
    answers: Predictions
    replayed: Predictions | None
    worst: tuple[FalseAccept, ...] = ()


def joined_answers(parts: list[Predictions]) -> Predictions:
    """Return the answers of consecutive batches as one."""
    return Predictions(
        scores=np.concatenate([part.scores for part in parts]),
        classes=np.concatenate([part.classes for part in parts]),
    )


Sets = Mapping[str, Scores]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreEvaluation:
    """All that was found by one score; every tuple has one entry a budget, the clean one first.

    `end_to_end` has none for the clean images, and is empty where it was not tried.
    """

    score: str
    threshold: float
    labels: Classes
    inliers: tuple[AttackResult, ...]
    outliers: Mapping[str, tuple[AttackResult, ...]]
    end_to_end: tuple[AttackResult, ...] = ()


def score_result(findings: ScoreEvaluation, *, seed: int) -> ScoreResult:
    """Return the figures of one score; the bootstrap is drawn by `seed`."""
    beyond = (None, *findings.end_to_end) if findings.end_to_end else repeat(None)
    conditions = [
        _condition(findings, at, wrong, np.random.default_rng(seed))
        for at, wrong in zip(range(len(findings.inliers)), beyond, strict=False)
    ]
    return ScoreResult(
        score=findings.score, threshold=findings.threshold, conditions=tuple(conditions)
    )


def evidence(findings: ScoreEvaluation) -> EvaluationEvidence:
    """Return what the figures were computed from."""
    return EvaluationEvidence(
        score=findings.score,
        threshold=findings.threshold,
        conditions=tuple(
            ConditionEvidence(
                epsilon_255=inliers.epsilon_255,
                inliers=inliers.answers.scores,
                outliers=_scores(findings, at),
            )
            for at, inliers in enumerate(findings.inliers)
        ),
        worst_accepts=tuple(
            case for found in findings.outliers.values() for each in found for case in each.worst
        ),
    )


def _condition(
    findings: ScoreEvaluation,
    at: int,
    end_to_end: AttackResult | None,
    generator: np.random.Generator,
) -> Condition:
    inliers, limit = findings.inliers[at], findings.threshold
    rankings, means = {}, {}
    for side, (inside, outside) in _sides(findings, at).items():
        rankings[side], means[side] = _ranked(inside, outside, generator)
    return Condition(
        epsilon_255=inliers.epsilon_255,
        inliers=_inlier_result(findings, inliers.answers, end_to_end),
        sets={
            name: SetResult(
                images=len(found[at].answers.scores),
                rankings={side: each[name] for side, each in rankings.items()},
                missed_ood_rate=missed_ood_rate(found[at].answers.scores, limit),
            )
            for name, found in findings.outliers.items()
        },
        mean=means,
        replayed=_replayed(findings, at, end_to_end),
    )


def _sides(findings: ScoreEvaluation, at: int) -> dict[Side, tuple[Scores, Sets]]:
    """Return by side what is ranked: one side attacked alone stands beside the other's clean."""
    clean, attacked = findings.inliers[0].answers.scores, findings.inliers[at].answers.scores
    if at == 0:
        return {"clean": (clean, _scores(findings, 0))}
    return {
        "in_attacked": (attacked, _scores(findings, 0)),
        "out_attacked": (clean, _scores(findings, at)),
        "both_attacked": (attacked, _scores(findings, at)),
    }


def _scores(findings: ScoreEvaluation, at: int) -> dict[str, Scores]:
    return {name: found[at].answers.scores for name, found in findings.outliers.items()}


def _ranked(
    inside: Scores, outside: Sets, generator: np.random.Generator
) -> tuple[dict[str, Ranking], MeanAuroc]:
    intervals, interval = auroc_intervals(inside, outside, generator)
    ranked = {name: ranking(inside, scores, intervals[name]) for name, scores in outside.items()}
    mean = sum(each.auroc for each in ranked.values()) / len(ranked)
    return ranked, MeanAuroc(auroc=mean, auroc_interval=interval)


def _inlier_result(
    findings: ScoreEvaluation, answers: Predictions, end_to_end: AttackResult | None
) -> InlierResult:
    return InlierResult(
        images=len(answers.scores),
        accuracy=float((answers.classes == findings.labels).mean()),
        decisions=_decisions(findings, answers),
        end_to_end=_decisions(findings, end_to_end.answers) if end_to_end else None,
    )


def _decisions(findings: ScoreEvaluation, answers: Predictions) -> Decisions:
    rejected = rejects(answers.scores, findings.threshold)
    right = answers.classes == findings.labels
    return Decisions(
        accepted_right=_share(~rejected & right),
        accepted_wrong=_share(~rejected & ~right),
        rejected=_share(rejected),
    )


def _replayed(
    findings: ScoreEvaluation, at: int, end_to_end: AttackResult | None
) -> Replayed | None:
    inliers = findings.inliers[at].replayed
    outliers = {name: found[at].replayed for name, found in findings.outliers.items()}
    known = {name: answers.scores for name, answers in outliers.items() if answers is not None}
    if inliers is None or len(known) < len(outliers):
        return None
    wrong = end_to_end.replayed if end_to_end else None
    limit = findings.threshold
    return Replayed(
        auroc={name: auroc(inliers.scores, scores) for name, scores in known.items()},
        missed_ood_rate={name: missed_ood_rate(scores, limit) for name, scores in known.items()},
        false_rejection_rate=false_rejection_rate(inliers.scores, limit),
        wrong_and_accepted=_decisions(findings, wrong).accepted_wrong if wrong else None,
    )


def _share(chosen: NDArray[np.bool_] | Sequence[bool]) -> float:
    return float(np.mean(chosen))
