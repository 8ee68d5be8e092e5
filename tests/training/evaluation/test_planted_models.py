"""The gradient-masking checks detect models that mask their gradients."""

from collections.abc import Mapping

import pytest
import torch

from oodguard.training.attacks.attack_runner import gradient_attack
from oodguard.training.config.suites import Suite, SuiteAttack, SuiteTrials
from oodguard.training.evaluation.attack_trials import TrialImages, run_attack_trials
from oodguard.training.evaluation.masking_checks import CHECKS, run_masking_checks
from oodguard.training.report.model import Trust
from oodguard.training.scoring.network import frozen
from tests.training.evaluation.planted_models import (
    Quantized,
    Saturated,
    Shattered,
    Unmasked,
    attacked_energy,
    draw_images,
)

SUITE = Suite(
    name="tiny",
    budgets_255=(4.0, 16.0),
    test_images=40,
    outlier_images=40,
    ascent=SuiteAttack(kind="apgd", steps=20, restarts=1),
    trials=SuiteTrials(images=40, square_queries=150, noise_draws=10, long_steps=40),
)
PGD_SUITE = SUITE.model_copy(
    update={"ascent": SuiteAttack(kind="pgd", steps=20, restarts=1, step_255=3.0)}
)


def run_checks(
    network: Unmasked, suite: Suite, *, twin: bool = True, epsilon_255: float = 16.0
) -> Trust:
    inliers, outliers = draw_images(40)
    victim, generator = attacked_energy(network), torch.Generator().manual_seed(0)
    images = TrialImages(victim=victim, inliers=inliers, outliers=outliers)
    by_epsilon = {0.0: images.clean_auroc()}
    with frozen(victim.classifier):
        for epsilon in suite.budgets:
            attack = gradient_attack(suite.ascent, epsilon)
            by_epsilon[epsilon] = images.attacked_auroc(attack, generator)
    trials = run_attack_trials(
        images,
        suite=suite,
        epsilon=epsilon_255 / 255,
        by_epsilon=by_epsilon,
        twin=attacked_energy(Unmasked()) if twin else None,
        generator=generator,
    )
    return run_masking_checks(trials)


def outcomes(trust: Trust) -> Mapping[str, str]:
    """Return the outcomes by the key of the check."""
    return {name: check.outcome for name, check in zip(CHECKS, trust.checks, strict=True)}


@pytest.mark.parametrize("suite", [SUITE, PGD_SUITE], ids=["apgd", "pgd"])
def test_masking_checks_trust_an_attack_on_an_unmasked_model(suite: Suite) -> None:
    trust = run_checks(Unmasked(), suite)
    assert trust.stamp == "trusted", trust
    assert set(outcomes(trust).values()) == {"passed"}


@pytest.mark.parametrize(
    ("network", "suite", "failed"),
    [
        (Quantized, SUITE, {"zero at 64/255", "Square", "transfer", "gradients"}),
        (Quantized, PGD_SUITE, {"zero at 64/255", "Square", "transfer", "gradients"}),
        (Saturated, SUITE, {"zero at 64/255", "transfer", "gradients"}),
        (Shattered, SUITE, {"zero at 64/255", "Square", "transfer"}),
    ],
    ids=["quantized", "quantized under pgd", "saturated", "shattered"],
)
def test_masking_checks_detect_masked_gradients(
    network: type[Unmasked], suite: Suite, failed: set[str]
) -> None:
    trust = run_checks(network(), suite)
    assert trust.stamp == "untrusted"
    assert failed <= {name for name, outcome in outcomes(trust).items() if outcome == "failed"}
    assert (outcomes(trust)["gradients"] == "failed") == ("gradients" in failed)


@pytest.mark.parametrize("network", [Quantized, Saturated, Shattered])
def test_masking_checks_detect_masked_gradients_without_twin_and_square(
    network: type[Unmasked],
) -> None:
    suite = SUITE.model_copy(update={"trials": SuiteTrials(images=40)})
    assert run_checks(network(), suite, twin=False).stamp == "untrusted"


def test_masking_checks_detect_an_attack_of_too_few_steps_within_a_larger_epsilon() -> None:
    # Four steps of 2/255 reach the edge of the ball of 4/255 from everywhere, that of 16/255 not.
    short = SuiteAttack(kind="pgd", steps=4, restarts=1, step_255=2.0)
    for budgets, outcome in (((4.0,), "passed"), ((4.0, 16.0), "failed")):
        suite = SUITE.model_copy(update={"ascent": short, "budgets_255": budgets})
        trust = run_checks(Unmasked(), suite, epsilon_255=4.0)
        assert outcomes(trust)["enough steps"] == outcome


def test_masking_checks_detect_an_attack_of_too_few_steps() -> None:
    weak = SuiteAttack(kind="pgd", steps=2, restarts=1, step_255=1.0)
    trust = run_checks(Unmasked(), SUITE.model_copy(update={"ascent": weak}))
    assert trust.stamp == "untrusted"
    assert outcomes(trust)["enough steps"] == "failed"
