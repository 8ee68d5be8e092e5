"""A small report and its evidence, whose figures can be derived by hand."""

import numpy as np
from numpy.typing import NDArray

from oodguard.training.config.suites import Suite, SuiteAttack
from oodguard.training.report.evidence import ConditionEvidence, EvaluationEvidence, FalseAccept
from oodguard.training.report.model import (
    Check,
    Condition,
    Decisions,
    InlierResult,
    Interval,
    MeanAuroc,
    Ranking,
    Replayed,
    Report,
    ScoreResult,
    SetResult,
    Side,
    Trust,
)

HOSTILE = '<script>alert("no")</script>'
"""A class name that would run as a script if it were not escaped."""

SIDES: dict[float, tuple[Side, ...]] = {
    0.0: ("clean",),
    2.0: ("in_attacked", "out_attacked", "both_attacked"),
}


def _ranking(auroc: float) -> Ranking:
    return Ranking(
        auroc=auroc,
        auroc_interval=Interval(low=auroc - 0.05, high=auroc + 0.05),
        aupr_in=0.7,
        aupr_out=0.6,
        detection_error=0.25,
        id_rejected_at_95_ood_recall=0.35,
        ood_accepted_at_95_id_acceptance=0.45,
    )


def _condition(epsilon_255: float, aurocs: dict[str, float], missed: dict[str, float]) -> Condition:
    sides = SIDES[epsilon_255]
    mean = sum(aurocs.values()) / len(aurocs)
    interval = Interval(low=mean - 0.02, high=mean + 0.02)
    right = 0.5 if epsilon_255 else 0.75
    return Condition(
        epsilon_255=epsilon_255,
        inliers=InlierResult(
            images=4,
            accuracy=0.75,
            decisions=Decisions(accepted_right=right, accepted_wrong=0.25, rejected=0.75 - right),
            end_to_end=Decisions(accepted_right=0.25, accepted_wrong=0.5, rejected=0.25)
            if epsilon_255
            else None,
        ),
        sets={
            name: SetResult(
                images=4,
                rankings=dict.fromkeys(sides, _ranking(auroc)),
                missed_ood_rate=missed[name],
            )
            for name, auroc in aurocs.items()
        },
        mean=dict.fromkeys(sides, MeanAuroc(auroc=mean, auroc_interval=interval)),
        replayed=Replayed(
            auroc=aurocs, missed_ood_rate=missed, false_rejection_rate=0.0, wrong_and_accepted=None
        ),
    )


def _accept(set_name: str, score: float, epsilon_255: float = 2.0) -> FalseAccept:
    generator = np.random.default_rng(0)
    clean = generator.integers(10, 240, (8, 8, 3), dtype=np.uint8)
    step = generator.choice([-1.0, 0.0, 1.0], clean.shape) * epsilon_255 / 255
    attacked: NDArray[np.float32] = (clean / 255 + step).astype(np.float32)
    return FalseAccept(
        set_name=set_name,
        epsilon_255=epsilon_255,
        clean=clean,
        attacked=attacked,
        clean_score=score + 1,
        score=score,
        predicted_class=HOSTILE,
    )


def _report() -> Report:
    """Return a report with two sets, clean and at 2/255, hardened at 2/255, all checks passed."""
    conditions = (
        _condition(0.0, {"near": 0.75, "far": 1.0}, {"near": 0.5, "far": 0.0}),
        _condition(2.0, {"near": 0.25, "far": 0.5}, {"near": 1.0, "far": 0.5}),
    )
    return Report(
        name="tiny",
        measured="run",
        suite=Suite(
            name="standard",
            budgets_255=(2.0,),
            test_images=4,
            outlier_images=4,
            ascent=SuiteAttack(kind="apgd", steps=30, restarts=1, end_to_end=15),
        ),
        test_set="things",
        alpha=0.05,
        delta=0.05,
        calibration_images=100,
        accuracy=0.75,
        accuracy_images=4,
        results=(ScoreResult(score="energy", threshold=0.5, conditions=conditions),),
        trust=Trust(
            stamp="trusted",
            checks=(
                Check(name="beats noise", outcome="passed", figure=0.1, expected="at most 50 %"),
                Check(name="reaches zero", outcome="passed", figure=0.0, expected="below 0.02"),
            ),
        ),
        replayed_by="ONNX Runtime",
        recipe="[attack]\nepsilon_255 = 2\n",
        duration_s=90.0,
        hardware="a machine",
        command="oodguard-train evaluate runs/tiny",
    )


def _evidence() -> EvaluationEvidence:
    """Return scores in eighths, so that every fraction of four images is exact."""
    return EvaluationEvidence(
        threshold=0.5,
        conditions=(
            ConditionEvidence(
                epsilon_255=0.0,
                inliers=np.array([0.0, 0.125, 0.25, 0.5], np.float32),
                outliers={
                    "near": np.array([0.125, 0.375, 0.75, 1.0], np.float32),
                    "far": np.array([0.75, 0.875, 1.0, 1.25], np.float32),
                },
            ),
            ConditionEvidence(
                epsilon_255=2.0,
                inliers=np.array([0.25, 0.375, 0.5, 0.75], np.float32),
                outliers={
                    "near": np.array([0.0, 0.125, 0.25, 0.5], np.float32),
                    "far": np.array([0.25, 0.5, 0.625, 0.75], np.float32),
                },
            ),
        ),
        worst_accepts=(
            _accept("near", 0.0),
            _accept("near", 0.125),
            _accept("far", 0.25),
            _accept("far", -1.0, epsilon_255=4.0),
        ),
    )


REPORT = _report()
EVIDENCE = _evidence()
