from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from oodguard.models.scores.energy import energy
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.evaluation.attack_trials import BATCH, AttackedScore, TrialImages
from oodguard.training.report.metrics import auroc
from oodguard.training.scoring.graph import ScoredNetwork
from tests.training.masked import Honest, pictures, scored

GENERATOR = torch.Generator().manual_seed(0)


@dataclass
class Recorded:
    """An attack that swaps light for dark, and remembers what it was asked."""

    sizes: list[int] = field(default_factory=list)
    goals: list[Tensor] = field(default_factory=list)

    def __call__(self, goal: AttackObjective, images: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        self.sizes.append(len(images))
        self.goals.append(goal(images, torch.arange(len(images))))
        return 1 - images


class Dented(Honest):
    """Has no slope where the first value is dark, and where it is light one of infinity times 0."""

    def seen(self, images: Tensor) -> Tensor:
        first = images[:, :1, :1, :1].detach()
        slope = torch.where(first < 0.2, 0.0, torch.where(first > 0.8, torch.nan, 1.0))
        copy = images.clone()
        if copy.requires_grad:
            copy.register_hook(lambda gradient: gradient * slope)
        return copy


def _probe(classifier: ScoredNetwork, inliers: Tensor, outliers: Tensor) -> TrialImages:
    return TrialImages(
        victim=AttackedScore(classifier=classifier, score="energy"),
        inliers=inliers,
        outliers=outliers,
    )


def test_the_clean_auroc_is_that_of_the_images_own_scores() -> None:
    inliers, outliers = pictures(30)
    outliers = outliers + 0.3 * (inliers - outliers)  # so that some are taken for one another
    inside, outside = (energy(Honest()(images)).detach().numpy() for images in (inliers, outliers))
    found = _probe(scored(Honest()), inliers, outliers).clean_auroc()
    assert found == pytest.approx(auroc(inside, outside))


def test_inliers_are_pushed_to_rejection_and_outliers_to_acceptance_in_batches() -> None:
    inliers, outliers = pictures(BATCH + 1)
    attack = Recorded()
    found = _probe(scored(Honest()), inliers, outliers[:3]).auroc_under(attack, GENERATOR)
    assert attack.sizes == [BATCH, 1, 3]
    torch.testing.assert_close(torch.cat(attack.goals[:2]), energy(Honest()(inliers)))
    torch.testing.assert_close(attack.goals[2], -energy(Honest()(outliers[:3])))
    inside, outside = (
        energy(Honest()(1 - images)).detach().numpy() for images in (inliers, outliers[:3])
    )
    assert found == pytest.approx(auroc(inside, outside))


def test_a_transferred_attack_climbs_the_other_model_and_is_judged_by_this_one() -> None:
    inliers, outliers = pictures(20)
    mirrored = Honest()
    mirrored.head.weight.data *= -1
    attack = Recorded()
    found = _probe(scored(Honest()), inliers, outliers).auroc_transferred(
        attack, AttackedScore(classifier=scored(mirrored), score="energy"), GENERATOR
    )
    torch.testing.assert_close(attack.goals[0], energy(mirrored(inliers)))
    torch.testing.assert_close(attack.goals[1], -energy(mirrored(outliers)))
    clean, moved = (
        [energy(Honest()(images)).detach() for images in pair]
        for pair in ((inliers, outliers), (1 - inliers, 1 - outliers))
    )
    inside = torch.maximum(clean[0], moved[0]).numpy()  # where the clean image is worse, that one
    outside = torch.minimum(clean[1], moved[1]).numpy()
    assert found == pytest.approx(auroc(inside, outside))


def test_gradients_that_lead_nowhere_are_counted_on_both_sides() -> None:
    inliers, outliers = torch.full((2, 4, 3, 8, 8), 0.5)
    inliers[0, 0, 0, 0] = 0.1  # no slope
    outliers[:2, 0, 0, 0] = 0.9  # not a number
    probe = _probe(scored(Dented()), inliers, outliers)
    assert probe.bad_gradients(0.01, GENERATOR) == pytest.approx(3 / 8)


def test_a_gradient_that_is_bad_only_beside_the_image_is_found_from_a_random_start() -> None:
    inliers = torch.full((40, 3, 8, 8), 0.5)
    inliers[:, 0, 0, 0] = 0.21
    probe = _probe(scored(Dented()), inliers, torch.full((10, 3, 8, 8), 0.5))
    # Of starts within 0.02 of 0.21 a fourth is below 0.2: 10 of 40, give or take 2.7.
    assert 2 / 50 <= probe.bad_gradients(0.02, GENERATOR) <= 18 / 50
    assert probe.bad_gradients(0.005, GENERATOR) == 0
