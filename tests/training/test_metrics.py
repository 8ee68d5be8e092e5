import numpy as np
import pytest

from training.metrics import auroc, false_rejection_rate, missed_ood_rate


def _scores(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_auroc_counts_the_pairs_in_which_the_outlier_scores_higher() -> None:
    # Of the 2 x 3 pairs: 1 < 2, 1 < 3, 2 = 2 (half), 2 < 3; 1 and 2 against 0 are lost.
    assert auroc(_scores(1, 2), _scores(0, 2, 3)) == pytest.approx(3.5 / 6)


def test_perfect_separation_is_one_and_its_opposite_zero() -> None:
    assert auroc(_scores(0, 1), _scores(2, 3)) == 1
    assert auroc(_scores(2, 3), _scores(0, 1)) == 0


def test_a_score_at_the_threshold_is_accepted() -> None:
    assert false_rejection_rate(_scores(1, 2, 3, 4), 3) == pytest.approx(1 / 4)
    assert missed_ood_rate(_scores(1, 2, 3, 4), 3) == pytest.approx(3 / 4)
