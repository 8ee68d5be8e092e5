from collections.abc import Mapping
from dataclasses import replace

import pytest

from oodguard.training.evaluation.attack_trials import AttackTrials
from oodguard.training.evaluation.masking_checks import CHECKS, run_masking_checks

GOOD = AttackTrials(
    by_epsilon={0.0: 0.95, 1 / 255: 0.9, 8 / 255: 0.4},
    epsilon=1 / 255,
    steps=30,
    by_steps={10: 0.82, 30: 0.8, 100: 0.795},
    clean=0.95,
    white_box=0.8,
    noise=0.94,
    square=0.85,
    transfer=0.9,
    at_64=0.0,
    bad_gradients=0.0,
)

FAILING: Mapping[str, AttackTrials] = {
    "larger epsilons": replace(GOOD, by_epsilon={0.0: 0.95, 1 / 255: 0.4, 8 / 255: 0.42}),
    "more steps": replace(GOOD, by_steps={10: 0.7, 30: 0.8, 100: 0.795}),
    "enough steps": replace(GOOD, by_steps={10: 0.82, 30: 0.8, 100: 0.78}),
    "zero at 64/255": replace(GOOD, at_64=0.03),
    "Square": replace(GOOD, square=0.78),
    "transfer": replace(GOOD, transfer=0.78),
    "noise": replace(GOOD, noise=0.86),
    "gradients": replace(GOOD, bad_gradients=0.02),
}
"""For each check, attack trials that only this check fails."""


@pytest.mark.parametrize("name", CHECKS)
def test_masking_check_passes_a_working_attack(name: str) -> None:
    assert CHECKS[name](GOOD).outcome == "passed"


@pytest.mark.parametrize("name", CHECKS)
def test_masking_checks_report_untrusted_if_one_fails(name: str) -> None:
    trust = run_masking_checks(FAILING[name])
    failed = [index for index, each in enumerate(trust.checks) if each.outcome == "failed"]
    assert failed == [list(CHECKS).index(name)]
    assert trust.stamp == "untrusted"


@pytest.mark.parametrize("name", CHECKS)
def test_masking_check_of_an_attack_that_was_not_tried_is_not_checked(name: str) -> None:
    result = CHECKS[name](AttackTrials(by_epsilon={0.0: 0.9}))
    assert (result.outcome, result.figure) == ("not checked", None)
    remedy = "evaluate with --suite standard, long or full"
    ending = f"{remedy}, and with --twin" if name == "transfer" else remedy
    assert result.reason == f"the suite does not include it: {ending}"


@pytest.mark.parametrize("name", CHECKS)
def test_masking_check_of_a_black_box_names_no_suite(name: str) -> None:
    result = CHECKS[name](AttackTrials(by_epsilon={0.0: 0.9}, black_box=True))
    assert result.reason == (
        "the graph is attacked as a black box, and the check requires its gradients"
    )


def test_masking_check_with_an_outcome_has_no_reason() -> None:
    reasons = {check.reason for check in run_masking_checks(FAILING["noise"]).checks}
    assert reasons == {None}


def test_transfer_check_names_the_option_only_if_no_twin_was_given() -> None:
    result = CHECKS["transfer"](replace(GOOD, transfer=None))
    assert result.reason == "no twin was given: evaluate with --twin"


def test_noise_check_of_a_weak_attack_states_the_decrease() -> None:
    result = CHECKS["noise"](replace(GOOD, epsilon=6 / 255, white_box=0.94, noise=0.945))
    assert result.reason == (
        "the AUROC of the trial images is 0.9500 clean and 0.9400 attacked within 6/255, expected a"
        " decrease of at least 0.02 for a comparison"
    )


@pytest.mark.parametrize(
    ("trials", "stamp"),
    [
        (GOOD, "trusted"),
        (AttackTrials(by_epsilon={}), "not checked"),
        (AttackTrials(by_epsilon={0.0: 0.9, 1 / 255: 0.8}), "partly checked"),
        (AttackTrials(by_epsilon={0.0: 0.8, 1 / 255: 0.9}), "untrusted"),
        (AttackTrials(by_epsilon={}, bad_gradients=0.5), "untrusted"),
    ],
    ids=["all passed", "none tried", "some tried", "failed epsilon", "failed gradients"],
)
def test_masking_checks_stamp(trials: AttackTrials, stamp: str) -> None:
    assert run_masking_checks(trials).stamp == stamp


def test_masking_check_figures_by_hand() -> None:
    # 0.42 after 0.4; 0.8 after 0.7; 0.8 - 0.78; ...; 0.09 of the decrease of 0.15.
    expected = [0.02, 0.1, 0.02, 0.03, 0.02, 0.02, 0.6, 0.02]
    figures = [check(FAILING[name]).figure for name, check in CHECKS.items()]
    assert figures == pytest.approx(expected)


def test_larger_epsilons_check_adds_up_small_increases() -> None:
    creeping = {0.0: 0.5, 1 / 255: 0.506, 2 / 255: 0.512}
    result = CHECKS["larger epsilons"](replace(GOOD, by_epsilon=creeping))
    assert result.outcome == "failed"
    assert result.figure == pytest.approx(0.012)


def test_enough_steps_check_has_the_largest_lead_within_any_epsilon() -> None:
    # 0.8 - 0.795 within the epsilon of the trials.
    for leads, largest in (({8 / 255: 0.028}, 0.028), ({8 / 255: 0.001}, 0.005)):
        check = CHECKS["enough steps"](replace(GOOD, long_leads=leads))
        assert check.figure == pytest.approx(largest)
        assert check.outcome == ("failed" if largest > 0.01 else "passed")


def test_enough_steps_check_needs_more_steps_than_the_suite() -> None:
    assert (
        CHECKS["enough steps"](replace(GOOD, by_steps={10: 0.82, 30: 0.8})).outcome == "not checked"
    )


@pytest.mark.parametrize(
    ("white_box", "noise_auroc", "outcome"),
    [(0.94, 0.945, "not checked"), (0.95, 0.9, "failed"), (0.96, 0.93, "failed")],
)
def test_noise_check_of_a_weak_attack(white_box: float, noise_auroc: float, outcome: str) -> None:
    assert CHECKS["noise"](replace(GOOD, white_box=white_box, noise=noise_auroc)).outcome == outcome


def test_masking_check_fails_nan() -> None:
    assert CHECKS["zero at 64/255"](replace(GOOD, at_64=float("nan"))).outcome == "failed"
