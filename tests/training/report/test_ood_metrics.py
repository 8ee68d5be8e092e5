import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import precision_recall_curve, roc_curve

from oodguard.training.report.evidence import Scores
from oodguard.training.report.metrics import (
    aupr_in,
    aupr_out,
    auroc,
    detection_error,
    false_rejection_rate,
    id_rejected_at_95_ood_recall,
    missed_ood_rate,
    ood_accepted_at_95_id_acceptance,
    ranking,
)
from oodguard.training.report.model import Interval

BOUNDED = [detection_error, id_rejected_at_95_ood_recall, ood_accepted_at_95_id_acceptance]


def _scores(*values: float) -> Scores:
    return np.array(values, dtype=np.float32)


def _draws(seed: int) -> tuple[Scores, Scores]:
    """Inliers and outliers that overlap, with ties among and between them."""
    generator = np.random.default_rng(seed)
    inliers = generator.normal(0, 2, size=int(generator.integers(20, 200))).round(seed % 2)
    outliers = generator.normal(1, 2, size=int(generator.integers(20, 200))).round(seed % 2)
    return inliers.astype(np.float32), outliers.astype(np.float32)


def _as_labelled(negatives: Scores, positives: Scores) -> tuple[Scores, Scores]:
    truth = np.concatenate([np.zeros_like(negatives), np.ones_like(positives)])
    return truth, np.concatenate([negatives, positives])


def _false_positives_at_95_percent(negatives: Scores, positives: Scores) -> float:
    """Read the first point of the ROC curve with a recall of 95 %, as pytorch-ood does."""
    truth, scores = _as_labelled(negatives, positives)
    rate, recall, _ = roc_curve(truth, scores, drop_intermediate=False)
    return float(rate[np.argmax(recall >= 0.95)])


def test_auroc_counts_pairs_with_a_higher_outlier() -> None:
    # Of the 2 x 3 pairs: 1 < 2, 1 < 3, 2 = 2 (half), 2 < 3; 1 and 2 against 0 are lost.
    assert auroc(_scores(1, 2), _scores(0, 2, 3)) == pytest.approx(3.5 / 6)


def test_metrics_of_perfect_separation_and_of_its_opposite() -> None:
    low, high = _scores(0, 1), _scores(2, 3)
    assert auroc(low, high) == 1
    assert [metric(low, high) for metric in BOUNDED] == [0, 0, 0]
    assert auroc(high, low) == 0
    assert detection_error(high, low) == 0.5


def test_rates_accept_a_score_at_the_threshold() -> None:
    assert false_rejection_rate(_scores(1, 2, 3, 4), 3) == pytest.approx(1 / 4)
    assert missed_ood_rate(_scores(1, 2, 3, 4), 3) == pytest.approx(3 / 4)


@pytest.mark.parametrize("seed", range(4))
def test_aupr_is_the_area_under_the_precision_recall_steps(seed: int) -> None:
    inliers, outliers = _draws(seed)
    for found, negatives, positives in [
        (aupr_out(inliers, outliers), inliers, outliers),
        (aupr_in(inliers, outliers), -outliers, -inliers),
    ]:
        precision, recall, _ = precision_recall_curve(*_as_labelled(negatives, positives))
        assert found == pytest.approx(-np.sum(np.diff(recall) * precision[:-1]))


def test_detection_error_is_that_of_the_best_threshold() -> None:
    # At 2: one of four inliers is rejected and one of two outliers, which ties, accepted. At 1:
    # two inliers are rejected, no outlier is accepted.
    assert detection_error(_scores(0, 1, 2, 3), _scores(2, 4)) == pytest.approx(0.25)
    # At 3: no inlier is rejected, one of four outliers is accepted.
    assert detection_error(_scores(0, 1, 2, 3), _scores(3, 4, 5, 6)) == pytest.approx(0.125)


@pytest.mark.parametrize("seed", range(6))
def test_detection_error_follows_from_the_kolmogorov_smirnov_distance(seed: int) -> None:
    inliers, outliers = _draws(seed)
    distance = ks_2samp(inliers, outliers, alternative="greater", method="asymp").statistic
    assert detection_error(inliers, outliers) == pytest.approx((1 - distance) / 2)


def test_id_rejected_at_95_counts_ties_as_rejected() -> None:
    outliers = _scores(0, *[5] * 19)  # 19 of 20 are 95 %: the one at 0 may be missed
    assert id_rejected_at_95_ood_recall(_scores(4, 5, 6, 1), outliers) == 0.5
    outliers = _scores(0, *[5] * 18)  # 18 of 19 are not
    assert id_rejected_at_95_ood_recall(_scores(4, 5, 6, 1), outliers) == 1.0


def test_ood_accepted_at_95_counts_ties_as_accepted() -> None:
    inliers = _scores(9, *[5] * 19)  # 19 of 20 are 95 %: the one at 9 may be rejected
    assert ood_accepted_at_95_id_acceptance(inliers, _scores(4, 5, 6, 9)) == 0.5
    inliers = _scores(9, *[5] * 18)  # 18 of 19 are not
    assert ood_accepted_at_95_id_acceptance(inliers, _scores(4, 5, 6, 10)) == 0.75


@pytest.mark.parametrize("seed", range(6))
def test_rates_at_95_percent_match_the_roc_curve(seed: int) -> None:
    inliers, outliers = _draws(seed)
    assert id_rejected_at_95_ood_recall(inliers, outliers) == pytest.approx(
        _false_positives_at_95_percent(inliers, outliers)
    )
    assert ood_accepted_at_95_id_acceptance(inliers, outliers) == pytest.approx(
        _false_positives_at_95_percent(-outliers, -inliers)
    )


def test_ranking_fills_every_field() -> None:
    inliers, outliers = _scores(0, 1, 2), _scores(1, 3)
    interval = Interval(low=0.25, high=0.875)
    found = ranking(inliers, outliers, interval)
    assert found.auroc_interval == interval
    # Pairs: 3 beats all three; 1 beats 0, ties with 1, loses to 2.
    assert found.auroc == pytest.approx(4.5 / 6)
    # From the top: 3 is an outlier, precision 1 for half of the recall; then 2 is none; then 1
    # and 1 tie, so that 2 of 4 are outliers where recall is complete.
    assert found.aupr_out == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    # From the bottom: 0, precision 1; then the tie, 2 of 3; then 2, 3 of 4.
    assert found.aupr_in == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    # At 2: no inlier is rejected, one of two outliers is accepted.
    assert found.detection_error == pytest.approx(0.25)
    # Both outliers are to be rejected, and with the one at 1 two of three inliers.
    assert found.id_rejected_at_95_ood_recall == pytest.approx(2 / 3)
    # All three inliers are to be accepted, and with the one at 2 one of two outliers.
    assert found.ood_accepted_at_95_id_acceptance == pytest.approx(1 / 2)
