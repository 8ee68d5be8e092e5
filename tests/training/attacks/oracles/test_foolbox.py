"""PGD against foolbox's, step by step, on the two-logit wrapper of a detector's score.

In float64, where the two make the same moves: in float32 a gradient next to nothing may have
another sign, as foolbox projects what was added and ours the image.
"""

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.two_logits import ACCEPTED, REJECTED, TwoLogits
from oodguard.training.attacks.base import AttackObjective, uniform, unperturbed
from oodguard.training.attacks.objectives import acceptance_objectives, rejection_objective
from oodguard.training.attacks.pgd import Pgd, WorstCasePgd
from oodguard.training.scoring.graph import ScoredNetwork

with warnings.catch_warnings():  # it imports a name that scipy has moved
    warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
    from foolbox.attacks import LinfPGD
    from foolbox.models.pytorch import PyTorchModel

EPSILON = 8 / 255
STEPS = 8
STEP_SIZE = 3 / 255
SCORE = "energy"
SEED = 7


class FromOurStart(LinfPGD):
    """foolbox's PGD from the random start that ours draws."""

    def get_random_start(self, x0: Any, epsilon: float) -> Any:
        drawn = uniform(x0.raw, epsilon, torch.Generator().manual_seed(SEED))
        return type(x0)(drawn)  # foolbox's wrapper of any framework's tensor


@pytest.fixture(scope="module")
def exact(classifier: ScoredNetwork) -> ScoredNetwork:
    """The classifier in float64."""
    return copy.deepcopy(classifier).double()


@pytest.fixture(params=["outlier to accepted", "inlier to rejected"])
def problem(
    request: pytest.FixtureRequest, exact: ScoredNetwork, inside: Tensor, outside: Tensor
) -> tuple[Tensor, AttackObjective, int]:
    """Images, what an attack on them climbs, and their label in the wrapper."""
    if request.param == "outlier to accepted":
        return outside.double(), acceptance_objectives(exact, SCORE)[0], REJECTED
    return inside.double(), rejection_objective(exact, SCORE), ACCEPTED


def iterates(attack: LinfPGD, exact: ScoredNetwork, images: Tensor, label: int) -> list[Tensor]:
    """Run an attack of foolbox; return where it took its steps from, and where it ended."""
    wrapper = TwoLogits(exact, SCORE, threshold=-2.5, scale=1.0).eval()
    seen: list[Tensor] = []
    wrapper.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    labels = torch.full((len(images),), label)
    last = attack.run(PyTorchModel(wrapper, bounds=(0, 1)), images, labels, epsilon=EPSILON)
    return [*seen, last]


def test_every_step_from_the_image_itself_is_foolboxs(
    exact: ScoredNetwork, problem: tuple[Tensor, AttackObjective, int]
) -> None:
    images, goal, label = problem
    theirs = iterates(
        LinfPGD(abs_stepsize=STEP_SIZE, steps=STEPS, random_start=False), exact, images, label
    )
    ours: list[Tensor] = []

    def watched(pixels: Tensor, rows: Tensor) -> Tensor:
        ours.append(pixels.detach().clone())
        return goal(pixels, rows)

    attack = WorstCasePgd(epsilon=EPSILON, steps=STEPS, step_size=STEP_SIZE, starts=(unperturbed,))
    found = attack(watched, images, torch.Generator())
    assert len(ours) == 1 + len(theirs) == STEPS + 2  # the clean images come first
    for our, their in zip(ours[1:], theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=0, atol=1e-12)
    rows = torch.arange(len(images))
    assert (goal(found, rows) >= goal(theirs[-1], rows) - 1e-9).all()
    assert (goal(found, rows) > goal(images, rows) + 0.1).any()


def test_the_last_step_from_a_random_start_is_foolboxs(
    exact: ScoredNetwork, problem: tuple[Tensor, AttackObjective, int]
) -> None:
    images, goal, label = problem
    theirs = iterates(FromOurStart(abs_stepsize=STEP_SIZE, steps=STEPS), exact, images, label)
    attack = Pgd(epsilon=EPSILON, steps=STEPS, step_size=STEP_SIZE)
    ours = attack(goal, images, torch.Generator().manual_seed(SEED))
    torch.testing.assert_close(ours, theirs[-1], rtol=0, atol=1e-12)
