import numpy as np
import pytest

from oodguard.training.evaluation.results import (
    AttackResult,
    Predictions,
    ScoreEvaluation,
    evidence,
    score_result,
)

LABELS = np.array([0, 0, 1, 1])


def _found(
    epsilon_255: float, scores: list[float], classes: list[int] | None = None
) -> AttackResult:
    chosen = classes if classes is not None else LABELS.tolist()[: len(scores)]
    answers = Predictions(scores=np.array(scores, np.float32), classes=np.array(chosen))
    return AttackResult(epsilon_255=epsilon_255, answers=answers, replayed=answers)


def _findings() -> ScoreEvaluation:
    """Threshold 0.5; attacked at 2/255 inliers rise and outliers fall."""
    return ScoreEvaluation(
        score="energy",
        threshold=0.5,
        labels=LABELS,
        inliers=(
            _found(0, [0.0, 0.1, 0.2, 0.6], [0, 1, 1, 1]),
            _found(2, [0.3, 0.7, 0.4, 0.9], [0, 1, 1, 0]),
        ),
        outliers={
            "near": (_found(0, [0.15, 0.8]), _found(2, [0.0, 0.5])),
            "far": (_found(0, [1.0, 2.0]), _found(2, [0.35, 1.0])),
        },
        end_to_end=(_found(2, [0.4, 0.5, 0.6, 0.1], [1, 1, 0, 1]),),
    )


def test_every_side_is_ranked_by_pairs() -> None:
    clean, attacked = score_result(_findings(), seed=0).conditions
    # Of 4 x 2 pairs: .15 is above 2 and .8 above 4 of the clean inliers; far ones above all.
    assert clean.auroc("near") == pytest.approx(6 / 8)
    assert clean.auroc("far") == pytest.approx(1)
    assert clean.mean["clean"].auroc == pytest.approx(7 / 8)
    assert set(clean.sets["near"].rankings) == {"clean"}
    near = attacked.sets["near"].rankings
    assert near["in_attacked"].auroc == pytest.approx(3 / 8)  # .15: none, .8: 3
    assert near["out_attacked"].auroc == pytest.approx(3.5 / 8)  # 0: one tie, .5: 3
    assert near["both_attacked"].auroc == pytest.approx(2 / 8)  # 0: none, .5: 2
    assert attacked.mean["both_attacked"].auroc == pytest.approx((2 / 8 + 5 / 8) / 2)


def test_what_is_at_the_threshold_is_accepted() -> None:
    clean, attacked = score_result(_findings(), seed=0).conditions
    assert clean.false_rejection_rate == pytest.approx(1 / 4)
    assert attacked.false_rejection_rate == pytest.approx(2 / 4)
    assert clean.sets["near"].missed_ood_rate == pytest.approx(1 / 2)
    assert attacked.sets["near"].missed_ood_rate == pytest.approx(1)  # 0 and .5
    assert attacked.sets["far"].missed_ood_rate == pytest.approx(1 / 2)


def test_the_matrix_tells_right_from_wrong_among_what_is_accepted() -> None:
    clean, attacked = score_result(_findings(), seed=0).conditions
    one = clean.inliers.decisions
    assert (one.accepted_right, one.accepted_wrong, one.rejected) == (0.5, 0.25, 0.25)
    two = attacked.inliers.decisions
    assert (two.accepted_right, two.accepted_wrong, two.rejected) == (0.5, 0, 0.5)
    assert (clean.inliers.accuracy, attacked.inliers.accuracy) == (0.75, 0.5)


def test_end_to_end_has_a_matrix_of_its_own() -> None:
    clean, attacked = score_result(_findings(), seed=0).conditions
    assert clean.inliers.end_to_end is None
    beyond = attacked.inliers.end_to_end
    assert beyond is not None
    # .4 and .5 are accepted with class 1 of 0; .6 is rejected; .1 is accepted and right.
    assert (beyond.accepted_right, beyond.accepted_wrong, beyond.rejected) == (0.25, 0.5, 0.25)
    assert attacked.replayed is not None
    assert attacked.replayed.wrong_and_accepted == pytest.approx(0.5)


def test_what_was_replayed_is_ranked_by_its_own_scores() -> None:
    findings = _findings()
    (clean, _) = score_result(findings, seed=0).conditions
    assert clean.replayed is not None
    assert clean.replayed.auroc == {"near": pytest.approx(6 / 8), "far": pytest.approx(1)}
    assert clean.replayed.false_rejection_rate == pytest.approx(1 / 4)
    assert clean.replayed.missed_ood_rate["near"] == pytest.approx(1 / 2)


def test_the_evidence_is_the_scores_themselves() -> None:
    kept = evidence(_findings())
    assert [condition.epsilon_255 for condition in kept.conditions] == [0, 2]
    assert kept.conditions[1].outliers["far"].tolist() == pytest.approx([0.35, 1.0])
