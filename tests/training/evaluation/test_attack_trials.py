from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from oodguard.models.scores.logit_scores import energy
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.attacks.pgd import Pgd
from oodguard.training.config.suites import Suite, SuiteAttack, SuiteTrials
from oodguard.training.evaluation.attack_trials import (
    AttackTrials,
    Remember,
    TrialImages,
    _large_attack,
    run_attack_trials,
)
from oodguard.training.report.metrics import auroc
from oodguard.training.scoring.graph import EVALUATION_BATCH_SIZE
from tests.training.evaluation.planted_models import Unmasked, attacked_energy, draw_images

GENERATOR = torch.Generator().manual_seed(0)
BUDGET_255 = 16.0


@dataclass
class Inversion:
    """An attack that inverts the images and records its arguments."""

    sizes: list[int] = field(default_factory=list)
    objectives: list[Tensor] = field(default_factory=list)

    def __call__(
        self,
        objective: AttackObjective,
        images: Tensor,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        self.sizes.append(len(images))
        self.objectives.append(objective(images, torch.arange(len(images))))
        return 1 - images


class Dented(Unmasked):
    """Multiplies the gradient by 0 where the first value is low, and by NaN where it is high."""

    def preprocess(self, images: Tensor) -> Tensor:
        first = images[:, :1, :1, :1].detach()
        slope = torch.where(first < 0.2, 0.0, torch.where(first > 0.8, torch.nan, 1.0))
        copy = images.clone()
        if copy.requires_grad:
            copy.register_hook(lambda gradient: gradient * slope)
        return copy


def trial_images(network: Unmasked, inliers: Tensor, outliers: Tensor) -> TrialImages:
    return TrialImages(victim=attacked_energy(network), inliers=inliers, outliers=outliers)


def test_clean_auroc_is_that_of_the_unchanged_images() -> None:
    inliers, outliers = draw_images(30)
    outliers = outliers + 0.3 * (inliers - outliers)  # so that the scores overlap
    inside, outside = (
        energy(Unmasked()(images)).detach().numpy() for images in (inliers, outliers)
    )
    found = trial_images(Unmasked(), inliers, outliers).clean_auroc()
    assert found == pytest.approx(auroc(inside, outside))


def test_attacked_auroc_attacks_both_sides_in_batches() -> None:
    inliers, outliers = draw_images(EVALUATION_BATCH_SIZE + 1)
    attack = Inversion()
    images = trial_images(Unmasked(), inliers, outliers[:3])
    found = images.attacked_auroc(attack, GENERATOR)
    assert attack.sizes == [EVALUATION_BATCH_SIZE, 1, 3]
    torch.testing.assert_close(torch.cat(attack.objectives[:2]), energy(Unmasked()(inliers)))
    torch.testing.assert_close(attack.objectives[2], -energy(Unmasked()(outliers[:3])))
    inside, outside = (
        energy(Unmasked()(1 - images)).detach().numpy() for images in (inliers, outliers[:3])
    )
    assert found == pytest.approx(auroc(inside, outside))


def test_transferred_auroc_attacks_the_source_and_scores_with_the_victim() -> None:
    inliers, outliers = draw_images(20)
    mirrored = Unmasked()
    mirrored.head.weight.data *= -1
    attack = Inversion()
    found = trial_images(Unmasked(), inliers, outliers).transferred_auroc(
        attack, attacked_energy(mirrored), GENERATOR
    )
    torch.testing.assert_close(attack.objectives[0], energy(mirrored(inliers)))
    torch.testing.assert_close(attack.objectives[1], -energy(mirrored(outliers)))
    clean, attacked = (
        [energy(Unmasked()(images)).detach() for images in pair]
        for pair in ((inliers, outliers), (1 - inliers, 1 - outliers))
    )
    inside = torch.maximum(clean[0], attacked[0]).numpy()  # the clean image, where that is worse
    outside = torch.minimum(clean[1], attacked[1]).numpy()
    assert found == pytest.approx(auroc(inside, outside))


def test_bad_gradients_are_counted_on_both_sides() -> None:
    inliers, outliers = torch.full((2, 4, 3, 8, 8), 0.5)
    inliers[0, 0, 0, 0] = 0.1  # zero
    outliers[:2, 0, 0, 0] = 0.9  # NaN
    images = trial_images(Dented(), inliers, outliers)
    assert images.bad_gradients(0.01, GENERATOR) == pytest.approx(3 / 8)


def test_bad_gradients_are_found_at_a_random_start() -> None:
    inliers = torch.full((40, 3, 8, 8), 0.5)
    inliers[:, 0, 0, 0] = 0.21
    images = trial_images(Dented(), inliers, torch.full((10, 3, 8, 8), 0.5))
    # A quarter of the starts within 0.02 of 0.21 is below 0.2: 10 of 40, with a deviation of 2.7.
    assert 2 / 50 <= images.bad_gradients(0.02, GENERATOR) <= 18 / 50
    assert images.bad_gradients(0.005, GENERATOR) == 0


def run_trials(
    settings: SuiteAttack,
    trials: SuiteTrials,
    *,
    twin: bool = False,
    network: Unmasked | None = None,
    remember: Remember = lambda _, measure: measure(),
) -> AttackTrials:
    suite = Suite(
        name="tiny",
        budgets_255=(BUDGET_255,),
        test_images=20,
        outlier_images=20,
        ascent=settings,
        trials=trials,
    )
    inliers, outliers = draw_images(20)
    return run_attack_trials(
        trial_images(network or Unmasked(), inliers, outliers),
        suite=suite,
        epsilon=BUDGET_255 / 255,
        by_epsilon={0.0: 1.0},
        twin=attacked_energy(Unmasked()) if twin else None,
        generator=torch.Generator().manual_seed(0),
        remember=remember,
    )


def test_attack_trials_of_what_the_suite_omits_are_none() -> None:
    found = run_trials(SuiteAttack(kind="apgd", steps=15, restarts=1), SuiteTrials(images=20))
    assert found.noise is found.square is found.transfer is None
    assert list(found.by_steps) == [10, 15]
    assert found.by_epsilon == {0.0: 1.0}


def test_attack_trials_run_all_attacks_of_the_suite() -> None:
    trials = SuiteTrials(images=20, square_queries=50, noise_draws=5, long_steps=20)
    found = run_trials(SuiteAttack(kind="apgd", steps=15, restarts=2), trials, twin=True)
    assert list(found.by_steps) == [10, 15, 20]
    assert found.steps == 15
    assert found.white_box == found.by_steps[15]
    assert found.clean is not None
    assert found.square is not None
    assert found.noise is not None
    assert found.white_box < found.square < found.noise <= found.clean
    # The twin is the same model, attacked from the same starts.
    assert found.transfer == pytest.approx(found.white_box)
    assert found.at_64 == 0
    assert found.bad_gradients == 0


@pytest.mark.parametrize(("auroc_at_8", "larger"), [(0.5, [8]), (0.1, [])])
def test_attack_trials_compare_long_attacks_within_larger_epsilons(
    auroc_at_8: float, larger: list[int]
) -> None:
    budgets = (2.0, 4.0, 8.0)
    inliers, outliers = draw_images(20)
    images, remembered = trial_images(Unmasked(), inliers, outliers), {}

    def remember(name: str, measure: Callable[[], float]) -> float:
        remembered[name] = measure()
        return remembered[name]

    suite = Suite(
        name="tiny",
        budgets_255=budgets,
        test_images=20,
        outlier_images=20,
        ascent=SuiteAttack(kind="pgd", steps=1, restarts=1, step_255=2.0),
        trials=SuiteTrials(images=20, long_steps=9),
    )
    found = run_attack_trials(
        images,
        suite=suite,
        epsilon=4 / 255,
        by_epsilon={0.0: 1.0, 2 / 255: 0.9, 4 / 255: 0.7, 8 / 255: auroc_at_8},
        twin=None,
        generator=torch.Generator().manual_seed(0),
        remember=remember,
    )
    assert [round(255 * each) for each in found.long_leads] == larger
    own, *_, long = found.by_steps.values()
    for epsilon, lead in {4 / 255: own - long, **found.long_leads}.items():
        named = [remembered[f"steps {steps} within {255 * epsilon:g}/255"] for steps in (1, 9)]
        assert lead == named[0] - named[1]
        # The score is linear, so the long attack reaches the corner of the ball.
        corner = images.attacked_auroc(Pgd(epsilon=epsilon, steps=30, step_size=epsilon), GENERATOR)
        assert named[1] == pytest.approx(corner, abs=0.01)


def test_attack_trials_scale_the_pgd_step_with_a_larger_epsilon() -> None:
    settings = SuiteAttack(kind="pgd", steps=2, restarts=1, step_255=3.0)
    large = _large_attack(settings, BUDGET_255 / 255)
    assert isinstance(large, Pgd)
    # 64 is four times the budget.
    assert (large.epsilon, large.steps) == (64 / 255, 2)
    assert large.step_size == pytest.approx(12 / 255)
    found = run_trials(settings, SuiteTrials(images=20))
    assert list(found.by_steps) == [2, 10]
    # Two steps of 3/255 from a random start do not reach the edge of the ball.
    assert found.by_steps[10] < found.by_steps[2]


def test_attack_trials_restore_the_mode_and_the_gradients_of_the_network() -> None:
    network = Unmasked().train()
    run_trials(
        SuiteAttack(kind="apgd", steps=1, restarts=1), SuiteTrials(images=20), network=network
    )
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_attack_trials_remember_figures_by_their_epsilon() -> None:
    """A figure within another epsilon, of an evaluation that was interrupted, is not used."""
    figures: dict[str, float] = {}

    def remember(name: str, measure: Callable[[], float]) -> float:
        return figures.setdefault(name, measure())

    trials = SuiteTrials(images=20, square_queries=5, noise_draws=2)
    run_trials(SuiteAttack(kind="apgd", steps=3, restarts=1), trials, twin=True, remember=remember)
    assert figures
    assert all(name.endswith(" within 16/255") for name in figures)


def test_attack_trials_are_reproducible() -> None:
    trials = SuiteTrials(images=20, square_queries=20, noise_draws=5)
    settings = SuiteAttack(kind="apgd", steps=3, restarts=1)
    assert run_trials(settings, trials, twin=True) == run_trials(settings, trials, twin=True)
