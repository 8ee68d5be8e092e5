import pytest
import torch
from torch import Tensor

from oodguard.training.attacks.base import AttackObjective
from oodguard.training.config.suites import Ascent
from oodguard.training.evaluation.attack_runner import BROKEN, run_attack, run_end_to_end_attack

IMAGES = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1
WEIGHTS = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
ROWS = torch.arange(5)


def linear(images: Tensor, _: Tensor) -> Tensor:
    return (images * WEIGHTS).sum(dim=(1, 2, 3))


def _optimum(epsilon_255: float) -> Tensor:
    return torch.clamp(IMAGES + epsilon_255 / 255 * WEIGHTS.sign(), 0, 1)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def test_every_budget_finds_its_own_optimum() -> None:
    ascent = Ascent(kind="apgd", steps=10, restarts=2)
    found = dict(run_attack(ascent, (linear,), IMAGES, (1, 2, 8), _generator(), targeted=0))
    assert list(found) == [1, 2, 8]
    for epsilon_255, images in found.items():
        torch.testing.assert_close(images, _optimum(epsilon_255))


def test_a_larger_budget_never_finds_less() -> None:
    target = IMAGES + torch.empty_like(IMAGES).uniform_(-1, 1, generator=_generator()) / 255

    def near(images: Tensor, rows: Tensor) -> Tensor:
        return -(images - target[rows]).abs().sum(dim=(1, 2, 3))

    ascent = Ascent(kind="apgd", steps=8, restarts=1)
    found = run_attack(ascent, (near,), IMAGES, (1, 2, 4), _generator(), targeted=0)
    one, two, four = (near(images, ROWS) for _, images in found)
    assert (two >= one).all()
    assert (four >= two).all()


def test_the_last_iterate_of_pgd_is_handed_out_in_steps_of_its_own() -> None:
    ascent = Ascent(kind="pgd", steps=3, restarts=1, step_255=1)
    ((_, found),) = run_attack(ascent, (linear,), IMAGES, (8,), _generator(), targeted=0)
    # A random start in the ball and three steps of 1/255 along the signs of the weights.
    moved = (found - IMAGES) * WEIGHTS.sign() * 255
    assert moved.max().item() <= 8 + 1e-3
    assert moved.min().item() >= -8 + 3 - 1e-3


def test_the_first_images_are_also_aimed_at_targets() -> None:
    # The direct goal is flat, as one of a saturated score; each target's is linear, and where a
    # target is reached the direct goal rises.
    def direct(images: Tensor, rows: Tensor) -> Tensor:
        risen = linear(images, rows) - linear(IMAGES[rows], rows)
        return (risen > 0.35).float() + 0 * images.sum()  # of .6 that 4/255 can give

    ascent = Ascent(kind="apgd", steps=5, restarts=1, targeted=2)
    goals: tuple[AttackObjective, ...] = (direct, linear)
    ((_, found),) = run_attack(ascent, goals, IMAGES, (4,), _generator(), targeted=2)
    assert direct(found, ROWS).tolist()[:2] == [1, 1]
    without = next(run_attack(ascent, goals, IMAGES, (4,), _generator(), targeted=0))[1]
    assert direct(without, ROWS).tolist()[:2] != [1, 1]
    torch.testing.assert_close(found[2:], without[2:])


def test_images_are_pushed_until_they_are_broken_and_no_further() -> None:
    # How far the goal can rise at 1/255 is the sum of the weights' magnitudes over 255.
    reach = WEIGHTS.abs().sum().item() / 255
    needed = torch.tensor([-1.0, 0.5, 1.5, 3.0, 9.0]) * reach

    def goal(images: Tensor, rows: Tensor) -> Tensor:
        return linear(images, rows) - linear(IMAGES[rows], rows) - needed[rows]

    rounds = dict(run_end_to_end_attack(10, goal, IMAGES, (1, 2, 4), _generator()))
    broken = {eps: (goal(images, ROWS) >= BROKEN).tolist() for eps, images in rounds.items()}
    assert broken == {
        1: [True, True, False, False, False],
        2: [True, True, True, False, False],
        4: [True, True, True, True, False],
    }
    assert (rounds[4][0] == IMAGES[0]).all()
    assert (rounds[4][1] == rounds[1][1]).all()
    assert (rounds[4] - IMAGES).abs().max().item() == pytest.approx(4 / 255, abs=1e-6)
