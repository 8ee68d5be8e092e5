"""The bound on wrong and accepted images, against SciPy and MAPIE."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.risk_control import BinaryClassificationController
from mapie.risk_control.fwer_control import FWERFixedSequenceTesting, control_fwer
from mapie.risk_control.risks import BinaryRisk
from scipy import stats

from oodguard.models.errors import CalibrationError
from oodguard.models.thresholds import ranked_limit
from oodguard.models.wrong_and_accepted import WrongAndAccepted

SCORES = np.arange(1, 1001, dtype=np.float32)


def bound(wrong: list[int], *, beta: float, delta: float | None = 0.05) -> WrongAndAccepted:
    """Return the bound for scores 1 to 1,000, of which `wrong` are those of errors."""
    return WrongAndAccepted(scores=SCORES, wrong=np.isin(SCORES, wrong), beta=beta, delta=delta)


@pytest.mark.parametrize("beta", [0.01, 0.03, 0.05, 0.2])
@pytest.mark.parametrize("delta", [0.01, 0.05, 0.3])
def test_beta_threshold_is_that_of_fixed_sequence_testing_in_mapie(
    beta: float, delta: float
) -> None:
    """MAPIE tests the thresholds in order, with the binomial p-values of SciPy."""
    rng = np.random.default_rng(4)
    scores = rng.normal(size=700).astype(np.float32)
    wrong = rng.random(700) < stats.norm.cdf(scores) * 0.3
    found = WrongAndAccepted(scores=scores, wrong=wrong, beta=beta, delta=delta)
    ordered = np.sort(scores)
    errors = np.cumsum(wrong[np.argsort(scores)])
    p_values = stats.binom.cdf(errors, len(scores), beta)
    kept = control_fwer(p_values, delta, fwer_method=FWERFixedSequenceTesting(n_starts=1))
    if len(kept) == 0:
        with pytest.raises(CalibrationError):
            found.rank()
        return
    assert ordered[len(ordered) - found.rank()] == ordered[max(kept)]


@pytest.mark.parametrize("beta", [0.03, 0.05])
def test_beta_threshold_is_that_of_the_controller_of_mapie(beta: float) -> None:
    """The same from labels and predictions, with the p-values of MAPIE.

    MAPIE accepts where a probability is at least its parameter: here 1 - rank / n of the score.
    """
    rng = np.random.default_rng(5)
    scores = rng.normal(size=400).astype(np.float32)
    wrong = rng.random(400) < stats.norm.cdf(scores) * 0.2
    found = WrongAndAccepted(scores=scores, wrong=wrong, beta=beta, delta=0.05)
    probabilities = 1 - stats.rankdata(scores) / 401
    accepted_wrong = BinaryRisk(
        risk_occurrence=lambda right, accepted: (accepted == 1) & (right == 0),
        risk_condition=lambda right, _: np.ones_like(right, bool),
        higher_is_better=False,
    )
    controller = BinaryClassificationController(
        lambda index: np.stack([1 - probabilities[index], probabilities[index]], axis=1),
        accepted_wrong,
        beta,
        confidence_level=0.95,
        best_predict_param_choice=accepted_wrong,
        list_predict_params=np.sort(probabilities)[::-1],
        fwer_method="fixed_sequence",
    )
    controller.calibrate(np.arange(400), ~wrong)
    least = min(controller.valid_predict_params)
    assert np.sort(scores)[400 - found.rank()] == scores[probabilities == least]


def test_beta_without_delta_is_conformal_risk_control() -> None:
    # (c + 1) / 1001 <= 0.02 for c up to 19: the 20th error must be rejected.
    errors = list(range(10, 510, 10))
    found = bound(errors, beta=0.02, delta=None)
    assert found.allowed_errors() == 19
    assert SCORES[1000 - found.rank()] == 199


def test_beta_without_errors_rejects_only_what_exceeds_all_calibration_images() -> None:
    assert bound([], beta=0.05).rank() == 1


def test_beta_with_too_few_images_names_the_number_that_is_needed() -> None:
    few = WrongAndAccepted(scores=SCORES[:58], wrong=SCORES[:58] > 0, beta=0.05, delta=0.05)
    with pytest.raises(CalibrationError) as caught:
        few.rank()
    assert "58 calibration images are too few for beta 0.05 with delta 0.05, expected at least" in (
        str(caught.value)
    )
    assert " 59. Calibrate with more images, or set a larger beta or delta" in str(caught.value)


def test_beta_that_no_threshold_keeps_is_refused() -> None:
    tied = WrongAndAccepted(
        scores=np.ones(100, np.float32), wrong=np.ones(100, bool), beta=0.1, delta=0.05
    )
    with pytest.raises(CalibrationError, match=r"beta 0\.1 does not hold even if only"):
        tied.rank()


def test_beta_that_does_not_hold_states_what_is_reachable() -> None:
    errors = list(range(10, 510, 10))
    assert bound(errors, beta=0.2).unkept_beta(900, lambda _: None) is None
    unkept = bound(errors, beta=0.03)
    limit = ranked_limit(unkept.scores, 1)
    found = unkept.unkept_beta(900, partial(limit.smallest_alpha, delta=unkept.delta))
    assert found is not None
    # All 50 errors are accepted: the upper confidence limit of Clopper and Pearson.
    assert found.reachable_beta == pytest.approx(stats.beta.ppf(0.95, 51, 950), abs=2e-6)
    allowed = stats.binom.ppf(0.05, 1000, 0.03) - 1
    assert stats.binom.cdf(allowed, 1000, 0.03) <= 0.05 < stats.binom.cdf(allowed + 1, 1000, 0.03)
    # The first error that is too many has the score 10 (allowed + 1), and it is rejected.
    rank = 1000 - 10 * (allowed + 1) + 2
    assert found.required_alpha is not None
    assert found.required_alpha == pytest.approx(stats.beta.ppf(0.95, rank, 1001 - rank), abs=2e-6)
    assert str(found) == (
        "beta 0.03 does not hold with alpha: at its threshold a beta of"
        f" {np.ceil(found.reachable_beta * 1e4) / 1e4:g} holds, and beta 0.03 holds from an alpha"
        f" of {np.ceil(found.required_alpha * 1e4) / 1e4:g}"
    )


def test_beta_that_is_reachable_holds_if_it_is_used() -> None:
    """One error of two images: 2/3 holds, and .6666666666666666 is below it."""
    two = WrongAndAccepted(scores=SCORES[:2], wrong=np.array([True, False]), beta=0.5, delta=None)
    found = two.unkept_beta(2, lambda _: None)
    assert found is not None
    assert found.reachable_beta == pytest.approx(2 / 3)
    assert replace(two, beta=found.reachable_beta).unkept_beta(2, lambda _: None) is None


@given(
    scores=st.lists(st.integers(0, 9), min_size=40, max_size=80),
    data=st.data(),
    beta=st.floats(0.1, 0.6),
)
def test_beta_holds_at_its_threshold_and_at_no_higher_calibration_score(
    scores: list[int], data: st.DataObject, beta: float
) -> None:
    flags = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    values = np.array(scores, np.float32)
    found = WrongAndAccepted(scores=values, wrong=np.array(flags), beta=beta, delta=0.1)
    try:
        rank = found.rank()
    except CalibrationError:
        return
    limit = np.sort(values)[len(values) - rank]
    assert found.unkept_beta(float(limit), lambda _: None) is None
    higher = values[values > limit]
    assert len(higher) == 0 or found.unkept_beta(float(higher.min()), lambda _: None) is not None
