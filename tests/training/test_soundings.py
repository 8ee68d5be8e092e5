import pytest
import torch

from oodguard.training.attacks.pgd import Pgd
from oodguard.training.config.suites import Ascent, Suite, Trials
from oodguard.training.evaluation.attack_trials import (
    AttackTrials,
    _at_64,
    _with_steps,
    run_attack_trials,
)
from tests.training.masked import Honest, pictures, scored

BUDGET_255 = 16.0


def _soundings(
    ascent: Ascent, trials: Trials, *, twin: bool = False, network: Honest | None = None
) -> AttackTrials:
    suite = Suite(
        name="tiny",
        budgets_255=(BUDGET_255,),
        test_images=20,
        outlier_images=20,
        ascent=ascent,
        trials=trials,
    )
    inliers, outliers = pictures(20)
    return run_attack_trials(
        scored(network or Honest()),
        "energy",
        inliers,
        outliers,
        suite=suite,
        budget_255=BUDGET_255,
        by_epsilon={0.0: 1.0},
        twin=(scored(Honest()), "energy") if twin else None,
        generator=torch.Generator().manual_seed(0),
    )


def test_what_a_suite_does_not_try_is_none() -> None:
    found = _soundings(Ascent(kind="apgd", steps=15, restarts=1), Trials(images=20))
    assert found.noise is found.square is found.transfer is None
    assert list(found.by_steps) == [10, 15]
    assert found.by_epsilon == {0.0: 1.0}


def test_all_that_a_suite_tries_is_found() -> None:
    trials = Trials(images=20, square_queries=50, noise_draws=5, long_steps=20)
    found = _soundings(Ascent(kind="apgd", steps=15, restarts=2), trials, twin=True)
    assert list(found.by_steps) == [10, 15, 20]
    assert found.steps == 15
    assert found.white_box == found.by_steps[15]
    assert found.budget_255 == BUDGET_255
    assert found.clean is not None
    assert found.square is not None
    assert found.noise is not None
    assert found.white_box < found.square < found.noise <= found.clean
    # The twin is the same model, and attacked from the same starts.
    assert found.transfer == pytest.approx(found.white_box)
    assert found.at_64 == 0
    assert found.bad_gradients == 0


def test_plain_descent_keeps_its_step_except_where_the_ball_is_larger() -> None:
    ascent = Ascent(kind="pgd", steps=2, restarts=1, step_255=3.0)
    assert _with_steps(ascent, 10, BUDGET_255) == Pgd(
        epsilon=BUDGET_255 / 255, steps=10, step_size=3 / 255
    )
    # 64 is four times the budget.
    assert _at_64(ascent, BUDGET_255) == Pgd(epsilon=64 / 255, steps=2, step_size=12 / 255)
    found = _soundings(ascent, Trials(images=20))
    assert list(found.by_steps) == [2, 10]
    assert found.by_steps[10] < found.by_steps[2]  # 6/255 from a random start is not far enough


def test_the_network_gets_its_mode_and_its_gradients_back() -> None:
    network = Honest().train()
    _soundings(Ascent(kind="apgd", steps=1, restarts=1), Trials(images=20), network=network)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_same_generator_finds_the_same_again() -> None:
    trials = Trials(images=20, square_queries=20, noise_draws=5)
    ascent = Ascent(kind="apgd", steps=3, restarts=1)
    assert _soundings(ascent, trials, twin=True) == _soundings(ascent, trials, twin=True)
