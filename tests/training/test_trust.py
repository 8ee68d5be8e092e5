"""The stamp, and whether planted models are caught by all that leads to it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from oodguard.training.config.suites import Ascent, Suite, Trials
from oodguard.training.evaluation.attack_runner import gradient_attack
from oodguard.training.evaluation.attack_trials import (
    AttackedScore,
    AttackTrials,
    TrialImages,
    run_attack_trials,
)
from oodguard.training.evaluation.masking_checks import run_masking_checks
from oodguard.training.report.model import Trust
from oodguard.training.scoring.network import frozen
from tests.training.masked import (
    Honest,
    Quantised,
    Saturated,
    Shattered,
    pictures,
    scored,
)

SUITE = Suite(
    name="tiny",
    budgets_255=(4.0, 16.0),
    test_images=40,
    outlier_images=40,
    ascent=Ascent(kind="apgd", steps=20, restarts=1),
    trials=Trials(images=40, square_queries=150, noise_draws=10, long_steps=40),
)
PLAIN = SUITE.model_copy(update={"ascent": Ascent(kind="pgd", steps=20, restarts=1, step_255=3.0)})
CLIFF, SQUARE, TRANSFER, GRADIENTS = (
    "a budget of 64/255 takes all",
    "Square, which needs no gradient, takes no more",
    "an attack made on another model takes no more",
    "there are gradients to follow",
)


def _judged(network: Honest, suite: Suite, *, twin: bool = True) -> Trust:
    inliers, outliers = pictures(40)
    classifier, generator = scored(network), torch.Generator().manual_seed(0)
    probe = TrialImages(
        victim=AttackedScore(classifier=classifier, score="energy"),
        inliers=inliers,
        outliers=outliers,
    )
    by_epsilon = {0.0: probe.clean_auroc()}
    with frozen(classifier):
        for epsilon in suite.budgets_255:
            attack = gradient_attack(suite.ascent, epsilon)
            by_epsilon[epsilon] = probe.auroc_under(attack, generator)
    soundings = run_attack_trials(
        classifier,
        "energy",
        inliers,
        outliers,
        suite=suite,
        budget_255=16.0,
        by_epsilon=by_epsilon,
        twin=(scored(Honest()), "energy") if twin else None,
        generator=generator,
    )
    return run_masking_checks(soundings)


def _outcomes(found: Trust) -> Mapping[str, str]:
    return {check.name: check.outcome for check in found.checks}


@pytest.mark.parametrize("suite", [SUITE, PLAIN], ids=["apgd", "pgd"])
def test_an_attack_on_an_honest_model_is_trusted(suite: Suite) -> None:
    found = _judged(Honest(), suite)
    assert found.stamp == "trusted", found
    assert set(_outcomes(found).values()) == {"passed"}


@pytest.mark.parametrize("suite", [SUITE, PLAIN], ids=["apgd", "pgd"])
def test_gradients_that_vanish_on_a_staircase_are_caught(suite: Suite) -> None:
    found = _judged(Quantised(), suite)
    assert found.stamp == "untrusted"
    for check in (CLIFF, SQUARE, TRANSFER, GRADIENTS):
        assert _outcomes(found)[check] == "failed", check


def test_gradients_that_vanish_in_a_steep_sigmoid_are_caught() -> None:
    found = _judged(Saturated(), SUITE)
    assert found.stamp == "untrusted"
    for check in (CLIFF, TRANSFER, GRADIENTS):
        assert _outcomes(found)[check] == "failed", check


def test_gradients_that_are_there_but_lead_nowhere_are_caught() -> None:
    found = _judged(Shattered(), SUITE)
    assert found.stamp == "untrusted"
    assert _outcomes(found)[GRADIENTS] == "passed"
    for check in (CLIFF, SQUARE, TRANSFER):
        assert _outcomes(found)[check] == "failed", check


@pytest.mark.parametrize("network", [Quantised, Saturated, Shattered])
def test_planted_models_are_caught_without_a_twin_and_without_square(
    network: type[Honest],
) -> None:
    suite = SUITE.model_copy(update={"trials": Trials(images=40)})
    found = _judged(network(), suite, twin=False)
    assert found.stamp == "untrusted"


def test_an_attack_of_too_few_steps_is_caught() -> None:
    timid = Ascent(kind="pgd", steps=2, restarts=1, step_255=1.0)
    found = _judged(Honest(), SUITE.model_copy(update={"ascent": timid}))
    assert found.stamp == "untrusted"
    assert _outcomes(found)["many more steps take little more"] == "failed"


def test_nothing_tried_is_not_checked() -> None:
    assert run_masking_checks(AttackTrials.of_budgets({})).stamp == "not checked"


def test_some_passed_and_some_not_tried_is_partly_checked() -> None:
    found = run_masking_checks(AttackTrials.of_budgets({0.0: 0.9, 1.0: 0.8}))
    assert found.stamp == "partly checked"
    assert [check.outcome for check in found.checks] == ["passed", *["not checked"] * 7]


def test_one_failure_is_enough_where_nothing_else_was_tried() -> None:
    assert run_masking_checks(AttackTrials.of_budgets({0.0: 0.8, 1.0: 0.9})).stamp == "untrusted"
    bare = replace(AttackTrials.of_budgets({}), bad_gradients=0.5)
    assert run_masking_checks(bare).stamp == "untrusted"
