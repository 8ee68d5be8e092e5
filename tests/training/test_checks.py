from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from oodguard.training.evaluation.attack_trials import AttackTrials
from oodguard.training.evaluation.masking_checks import (
    CHECKS,
    all_at_64,
    enough_steps,
    gradients,
    larger_budgets,
    more_steps,
    noise,
    run_masking_checks,
    square,
    transfer,
)
from oodguard.training.report.model import Check

GOOD = AttackTrials(
    by_epsilon={0.0: 0.95, 1.0: 0.9, 8.0: 0.4},
    budget_255=2.0,
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

BROKEN: Mapping[Callable[[AttackTrials], Check], AttackTrials] = {
    larger_budgets: replace(GOOD, by_epsilon={0.0: 0.95, 1.0: 0.4, 8.0: 0.42}),
    more_steps: replace(GOOD, by_steps={10: 0.7, 30: 0.8, 100: 0.795}),
    enough_steps: replace(GOOD, by_steps={10: 0.82, 30: 0.8, 100: 0.78}),
    all_at_64: replace(GOOD, at_64=0.03),
    square: replace(GOOD, square=0.78),
    transfer: replace(GOOD, transfer=0.78),
    noise: replace(GOOD, noise=0.86),
    gradients: replace(GOOD, bad_gradients=0.02),
}
"""For each check, soundings in which nothing but what it looks at is wrong."""


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_passes_what_an_attack_that_works_finds(
    check: Callable[[AttackTrials], Check],
) -> None:
    assert check(GOOD).outcome == "passed"


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_can_fail_alone_and_that_is_enough(
    check: Callable[[AttackTrials], Check],
) -> None:
    found = run_masking_checks(BROKEN[check])
    failed = [index for index, each in enumerate(found.checks) if each.outcome == "failed"]
    assert failed == [CHECKS.index(check)]
    assert found.stamp == "untrusted"


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_of_what_was_not_tried_is_not_made(check: Callable[[AttackTrials], Check]) -> None:
    made = check(AttackTrials.of_budgets({0.0: 0.9}))
    assert (made.outcome, made.figure) == ("not checked", None)


def test_the_figures_are_what_the_words_say() -> None:
    # 0.42 after 0.4; 0.8 after 0.7; 0.8 - 0.78; ...; 0.09 of the 0.15 that the attack takes.
    expected = [0.02, 0.1, 0.02, 0.03, 0.02, 0.02, 0.6, 0.02]
    figures = [check(BROKEN[check]).figure for check in CHECKS]
    assert figures == pytest.approx(expected)


def test_a_rise_in_many_small_steps_is_a_rise() -> None:
    creeping = {0.0: 0.5, 1.0: 0.506, 2.0: 0.512}
    found = larger_budgets(replace(GOOD, by_epsilon=creeping))
    assert found.outcome == "failed"
    assert found.figure == pytest.approx(0.012)


def test_the_suites_own_steps_say_nothing_of_more_steps() -> None:
    assert enough_steps(replace(GOOD, by_steps={10: 0.82, 30: 0.8})).outcome == "not checked"


def test_noise_beside_an_attack_that_takes_next_to_nothing_says_nothing() -> None:
    weak = replace(GOOD, clean=0.95, white_box=0.94)
    assert noise(replace(weak, noise=0.945)).outcome == "not checked"


def test_noise_that_takes_more_than_an_attack_that_takes_next_to_nothing_fails() -> None:
    assert noise(replace(GOOD, clean=0.95, white_box=0.95, noise=0.9)).outcome == "failed"
    assert noise(replace(GOOD, clean=0.95, white_box=0.96, noise=0.93)).outcome == "failed"


def test_what_is_not_a_number_fails() -> None:
    assert all_at_64(replace(GOOD, at_64=float("nan"))).outcome == "failed"
