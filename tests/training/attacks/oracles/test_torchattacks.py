"""APGD and Square against torchattacks' on the two-logit wrapper of a detector's score.

torchattacks' APGD is the authors' own code, with one fault: at its first checkpoint it reads past
its record of goals, so that the first step always counts as a rise. Given the same starts, ours
makes the same moves but for that, and but for ties in the cross-entropy that it has to climb.
"""

from dataclasses import dataclass

import pytest
import torch
import torchattacks
from torch import Tensor

from benchmarks.two_logits import ACCEPTED, REJECTED, TwoLogits
from oodguard.training.attacks.apgd import Apgd
from oodguard.training.attacks.base import Attack, AttackObjective
from oodguard.training.attacks.objectives import acceptance_objectives, rejection_objective
from oodguard.training.attacks.pgd import WorstCasePgd
from oodguard.training.attacks.square import Square
from oodguard.training.scoring.graph import ScoredNetwork

EPSILON = 2**-5  # exact in float32, in which torchattacks makes its steps; about 8 / 255
QUERIES = 200
SEED = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Images of one side, what an attack on them climbs, and the same for torchattacks."""

    images: Tensor
    goal: AttackObjective
    wrapper: TwoLogits
    label: int

    def gained_by(self, attack: Attack) -> Tensor:
        return self._gained(attack(self.goal, self.images, torch.Generator().manual_seed(SEED)))

    def gained_by_their_apgd(self, *, steps: int, restarts: int) -> Tensor:
        attack = torchattacks.APGD(self.wrapper, eps=EPSILON, steps=steps, n_restarts=restarts)
        torch.manual_seed(SEED)
        _, found = attack.perturb(self.images, self._labels, best_loss=True)
        return self._gained(found)

    def gained_by_their_square(self) -> Tensor:
        """A query for the stripes comes before those that are counted."""
        attack = torchattacks.Square(self.wrapper, eps=EPSILON, n_queries=QUERIES - 1)
        attack.init_hyperparam(self.images)
        torch.manual_seed(SEED)
        _, found = attack.attack_single_run(self.images, self._labels)
        return self._gained(found)

    @property
    def _labels(self) -> Tensor:
        return torch.full((len(self.images),), self.label)

    @torch.no_grad()
    def _gained(self, found: Tensor) -> Tensor:
        assert (found - self.images).abs().max() <= EPSILON + 1e-6
        rows = torch.arange(len(found))
        return self.goal(found, rows) - self.goal(self.images, rows)


@pytest.fixture(params=["energy", "msp"])
def score(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wrapper(classifier: ScoredNetwork, score: str, inside: Tensor, outside: Tensor) -> TwoLogits:
    """Between the two kinds of images, so that the cross-entropy saturates on neither."""
    both = classifier.score(score, torch.cat([inside, outside]))
    return TwoLogits(classifier, score, threshold=both.median().item(), scale=1.0)


@pytest.fixture(params=["outlier to accepted", "inlier to rejected"])
def problem(
    request: pytest.FixtureRequest, wrapper: TwoLogits, inside: Tensor, outside: Tensor
) -> Problem:
    classifier, score = wrapper.classifier, wrapper.score
    if request.param == "outlier to accepted":
        goal, images, label = acceptance_objectives(classifier, score)[0], outside, REJECTED
    else:
        goal, images, label = rejection_objective(classifier, score), inside, ACCEPTED
    return Problem(images=images, goal=goal, wrapper=wrapper, label=label)


def their_start(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Draw as torchattacks does: uniform noise, stretched so that it touches the ball's edge."""
    noise = 2 * torch.rand(images.shape, generator=generator) - 1
    noise = noise / noise.flatten(1).abs().amax(dim=1).view(-1, 1, 1, 1)
    return torch.clamp(images + epsilon * noise, 0, 1)


@pytest.mark.parametrize(("steps", "restarts"), [(10, 2), (25, 1)])
def test_apgd_finds_no_less_than_torchattacks(problem: Problem, steps: int, restarts: int) -> None:
    """On the mean within 0.2 % of the gain; an image alone within a fifth of the mean gain."""
    theirs = problem.gained_by_their_apgd(steps=steps, restarts=restarts)
    ours = problem.gained_by(Apgd(epsilon=EPSILON, steps=steps, starts=(their_start,) * restarts))
    assert theirs.mean() > 0.2
    assert ours.mean() >= 0.998 * theirs.mean()
    assert (ours >= theirs - 0.2 * theirs.mean()).all()


@pytest.mark.parametrize("score", ["energy"])
def test_steps_that_are_never_halved_find_less_than_that(problem: Problem) -> None:
    theirs = problem.gained_by_their_apgd(steps=25, restarts=1)
    ours = problem.gained_by(
        WorstCasePgd(epsilon=EPSILON, steps=25, step_size=2 * EPSILON, starts=(their_start,))
    )
    assert ours.mean() < 0.9 * theirs.mean()


@pytest.mark.parametrize("score", ["energy"])
def test_square_finds_no_less_than_torchattacks(problem: Problem) -> None:
    """On the mean within 5 % of the gain, as the two draw different squares."""
    # As far away as this nothing is ever broken, and their margin is linear in the score anyway.
    problem.wrapper.threshold = -100 if problem.label == REJECTED else 100
    theirs = problem.gained_by_their_square()
    ours = problem.gained_by(Square(epsilon=EPSILON, queries=QUERIES))
    assert theirs.mean() > 0.2
    assert ours.mean() >= 0.95 * theirs.mean()
