import numpy as np
import pytest

from oodguard.training.evaluation.results import (
    AttackResult,
    Predictions,
    ScoreEvaluation,
    class_results,
    evidence,
    score_result,
)

LABELS = np.array([0, 0, 1, 1])


def result(epsilon: float, scores: list[float], classes: list[int] | None = None) -> AttackResult:
    chosen = classes if classes is not None else LABELS.tolist()[: len(scores)]
    predictions = Predictions(scores=np.array(scores, np.float32), classes=np.array(chosen))
    return AttackResult(epsilon=epsilon, predictions=predictions, replayed=predictions)


TWO = 2 / 255
EVALUATION = ScoreEvaluation(
    score="energy",
    threshold=0.5,
    labels=LABELS,
    # Attacked, the scores of inliers increase and those of outliers decrease.
    inliers=(
        result(0, [0.0, 0.1, 0.2, 0.6], [0, 1, 1, 1]),
        result(TWO, [0.3, 0.7, 0.4, 0.9], [0, 1, 1, 0]),
    ),
    outliers={
        "near": (result(0, [0.15, 0.8]), result(TWO, [0.0, 0.5])),
        "far": (result(0, [1.0, 2.0]), result(TWO, [0.35, 1.0])),
    },
    end_to_end=(result(TWO, [0.4, 0.5, 0.6, 0.1], [1, 1, 0, 1]),),
)
CLEAN, ATTACKED = score_result(EVALUATION, seed=0).conditions


def test_class_results_count_predictions_and_rejections_by_true_class() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1, 0]), np.array([0, 2, 2, 1, 0, 1])
    rejected = np.array([True, False, False, True, True, False])
    first, second, none = class_results(labels, predicted, rejected, ("a", "b", "c"))
    assert (first.name, first.images, first.correct, first.rejected) == ("a", 4, 1, 1)
    assert list(first.confused.items()) == [("c", 2), ("b", 1)]
    assert (second.accuracy, second.rejection_rate, second.confused) == (0.5, 1.0, {"a": 1})
    assert (none.images, none.accuracy, none.confused) == (0, 1.0, {})


def test_score_result_ranks_each_side_by_pairs() -> None:
    # Of 4 x 2 pairs: .15 is above 2 and .8 above 4 of the clean inliers; far ones above all.
    assert CLEAN.auroc("near") == pytest.approx(6 / 8)
    assert CLEAN.auroc("far") == pytest.approx(1)
    assert CLEAN.mean["clean"].auroc == pytest.approx(7 / 8)
    assert set(CLEAN.sets["near"].rankings) == {"clean"}
    near = ATTACKED.sets["near"].rankings
    assert near["in_attacked"].auroc == pytest.approx(3 / 8)  # .15: none, .8: 3
    assert near["out_attacked"].auroc == pytest.approx(3.5 / 8)  # 0: one tie, .5: 3
    assert near["both_attacked"].auroc == pytest.approx(2 / 8)  # 0: none, .5: 2
    assert ATTACKED.mean["both_attacked"].auroc == pytest.approx((2 / 8 + 5 / 8) / 2)


def test_score_result_accepts_scores_at_the_threshold() -> None:
    assert CLEAN.false_rejection_rate == pytest.approx(1 / 4)
    assert ATTACKED.false_rejection_rate == pytest.approx(2 / 4)
    assert CLEAN.sets["near"].missed_ood_rate == pytest.approx(1 / 2)
    assert ATTACKED.sets["near"].missed_ood_rate == pytest.approx(1)  # 0 and .5
    assert ATTACKED.sets["far"].missed_ood_rate == pytest.approx(1 / 2)


def test_score_result_separates_right_from_wrong_among_accepted_images() -> None:
    clean, attacked = CLEAN.inliers.decisions, ATTACKED.inliers.decisions
    assert (clean.accepted_right, clean.accepted_wrong, clean.rejected) == (0.5, 0.25, 0.25)
    assert (attacked.accepted_right, attacked.accepted_wrong, attacked.rejected) == (0.5, 0, 0.5)
    assert (CLEAN.inliers.accuracy, ATTACKED.inliers.accuracy) == (0.75, 0.5)


def test_score_result_has_separate_decisions_for_the_end_to_end_attack() -> None:
    assert CLEAN.inliers.end_to_end is None
    found = ATTACKED.inliers.end_to_end
    assert found is not None
    # .4 and .5 are accepted with class 1 of 0; .6 is rejected; .1 is accepted and right.
    assert (found.accepted_right, found.accepted_wrong, found.rejected) == (0.25, 0.5, 0.25)
    assert ATTACKED.replayed is not None
    assert ATTACKED.replayed.wrong_and_accepted == pytest.approx(0.5)


def test_score_result_ranks_replayed_scores() -> None:
    assert CLEAN.replayed is not None
    assert CLEAN.replayed.auroc == {"near": pytest.approx(6 / 8), "far": pytest.approx(1)}
    assert CLEAN.replayed.false_rejection_rate == pytest.approx(1 / 4)
    assert CLEAN.replayed.missed_ood_rate["near"] == pytest.approx(1 / 2)


def test_evidence_holds_the_scores_and_epsilon_in_255ths() -> None:
    conditions = evidence(EVALUATION).conditions
    assert [condition.epsilon_255 for condition in conditions] == [0, 2]
    assert conditions[1].outliers["far"].tolist() == pytest.approx([0.35, 1.0])
