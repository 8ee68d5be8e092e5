"""PGD against foolbox's, step by step, on the two-logit wrapper of a detector's score.

In float64: in float32 a gradient close to zero may have another sign, because foolbox projects the
perturbation and ours the image.
"""

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.two_logits import ACCEPTED, REJECTED, TwoLogits
from oodguard.training.attacks.base import AttackObjective, uniform
from oodguard.training.attacks.objectives import acceptance_objectives, rejection_objective
from oodguard.training.attacks.pgd import Pgd
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
    """foolbox's PGD from the random start of ours."""

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
    """Images, the objective of an attack on them, and their label in the wrapper."""
    if request.param == "outlier to accepted":
        return outside.double(), acceptance_objectives(exact, SCORE)[0], REJECTED
    return inside.double(), rejection_objective(exact, SCORE), ACCEPTED


def iterates(attack: LinfPGD, exact: ScoredNetwork, images: Tensor, label: int) -> list[Tensor]:
    """Run an attack of foolbox; return every iterate, the last one included."""
    wrapper = TwoLogits(exact, SCORE, threshold=-2.5, scale=1.0).eval()
    seen: list[Tensor] = []
    wrapper.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    labels = torch.full((len(images),), label)
    last = attack.run(PyTorchModel(wrapper, bounds=(0, 1)), images, labels, epsilon=EPSILON)
    return [*seen, last]


def test_pgd_iterates_are_those_of_foolbox(
    exact: ScoredNetwork, problem: tuple[Tensor, AttackObjective, int]
) -> None:
    images, objective, label = problem
    theirs = iterates(FromOurStart(abs_stepsize=STEP_SIZE, steps=STEPS), exact, images, label)
    ours: list[Tensor] = []

    def recorded(pixels: Tensor, rows: Tensor) -> Tensor:
        ours.append(pixels.detach().clone())
        return objective(pixels, rows)

    attack = Pgd(epsilon=EPSILON, steps=STEPS, step_size=STEP_SIZE)
    found = attack(recorded, images, torch.Generator().manual_seed(SEED))
    assert len(ours) + 1 == len(theirs) == STEPS + 1
    for our, their in zip([*ours, found], theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=0, atol=1e-12)
    rows = torch.arange(len(images))
    assert (objective(found, rows) > objective(images, rows) + 0.1).any()
