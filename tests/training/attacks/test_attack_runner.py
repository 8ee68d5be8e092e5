import numpy as np
import pytest
import torch
from torch import Tensor

from oodguard.training.attacks.attack_runner import (
    SUCCESS,
    run_attack,
    run_end_to_end_attack,
    to_uint8,
)
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.config.suites import SuiteAttack

IMAGES = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1
WEIGHTS = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
ROWS = torch.arange(5)


def linear(images: Tensor, _: Tensor) -> Tensor:
    return (images * WEIGHTS).sum(dim=(1, 2, 3))


def attack(
    settings: SuiteAttack,
    *objectives: AttackObjective,
    budgets_255: tuple[int, ...],
    targeted: int = 0,
) -> dict[int, Tensor]:
    """Return the attacked images by epsilon in 255ths."""
    epsilons = [budget / 255 for budget in budgets_255]
    generator = torch.Generator().manual_seed(2)
    results = run_attack(settings, objectives, IMAGES, epsilons, generator, targeted=targeted)
    return {round(255 * epsilon): images for epsilon, images in results}


def test_run_attack_finds_the_optimum_within_each_epsilon() -> None:
    settings = SuiteAttack(kind="apgd", steps=10, restarts=2)
    found = attack(settings, linear, budgets_255=(1, 2, 8))
    assert list(found) == [1, 2, 8]
    for budget, images in found.items():
        optimum = torch.clamp(IMAGES + budget / 255 * WEIGHTS.sign(), 0, 1)
        torch.testing.assert_close(images, optimum)


def test_run_attack_never_finds_less_within_a_larger_epsilon() -> None:
    generator = torch.Generator().manual_seed(2)
    target = IMAGES + torch.empty_like(IMAGES).uniform_(-1, 1, generator=generator) / 255

    def closeness(images: Tensor, rows: Tensor) -> Tensor:
        return -(images - target[rows]).abs().sum(dim=(1, 2, 3))

    settings = SuiteAttack(kind="apgd", steps=8, restarts=1)
    found = attack(settings, closeness, budgets_255=(1, 2, 4))
    one, two, four = (closeness(images, ROWS) for images in found.values())
    assert (two >= one).all()
    assert (four >= two).all()


def test_run_attack_with_pgd_returns_the_last_iterate() -> None:
    settings = SuiteAttack(kind="pgd", steps=3, restarts=1, step_255=1)
    found = attack(settings, linear, budgets_255=(8,))[8]
    # A random start in the ball and three steps of 1/255 along the signs of the weights.
    moved = (found - IMAGES) * WEIGHTS.sign() * 255
    assert moved.max().item() <= 8 + 1e-3
    assert moved.min().item() >= -8 + 3 - 1e-3


def test_run_attack_also_attacks_the_first_images_on_targeted_objectives() -> None:
    # The direct objective is flat, like a saturated score. The targeted one is linear, and where it
    # is high the direct one increases.
    def direct(images: Tensor, rows: Tensor) -> Tensor:
        increase = linear(images, rows) - linear(IMAGES[rows], rows)
        return (increase > 0.35).float() + 0 * images.sum()  # 4/255 allows 0.6

    settings = SuiteAttack(kind="apgd", steps=5, restarts=1, targeted=2)
    found = attack(settings, direct, linear, budgets_255=(4,), targeted=2)[4]
    assert direct(found, ROWS).tolist()[:2] == [1, 1]
    without = attack(settings, direct, linear, budgets_255=(4,))[4]
    assert direct(without, ROWS).tolist()[:2] != [1, 1]
    torch.testing.assert_close(found[2:], without[2:])


def test_end_to_end_attack_stops_at_success() -> None:
    # Within 1/255 the objective can increase by the sum of the weights' magnitudes over 255.
    reach = WEIGHTS.abs().sum().item() / 255
    needed = torch.tensor([-1.0, 0.5, 1.5, 3.0, 9.0]) * reach

    def objective(images: Tensor, rows: Tensor) -> Tensor:
        return linear(images, rows) - linear(IMAGES[rows], rows) - needed[rows]

    generator = torch.Generator().manual_seed(2)
    epsilons = (1 / 255, 2 / 255, 4 / 255)
    one, two, four = (
        images for _, images in run_end_to_end_attack(10, objective, IMAGES, epsilons, generator)
    )
    succeeded = [(objective(images, ROWS) >= SUCCESS).tolist() for images in (one, two, four)]
    assert succeeded == [
        [True, True, False, False, False],
        [True, True, True, False, False],
        [True, True, True, True, False],
    ]
    assert (four[0] == IMAGES[0]).all()
    assert (four[1] == one[1]).all()
    assert (four - IMAGES).abs().max().item() == pytest.approx(4 / 255, abs=1e-6)


@pytest.mark.parametrize(
    ("clean", "attacked_255", "budget_255", "expected"),
    [
        (100, 101.4, 2, 101),  # the nearest value
        (100, 98.4, 2, 98),
        (100, 101.5, 1.5, 101),  # 1.5 away is in the ball, 2 is not
        (100, 98.5, 1.5, 99),
        (100, 100.9, 0.9, 100),
        (254, 256, 4, 255),  # the pixel range
        (1, -1, 4, 0),
    ],
)
def test_to_uint8_rounds_within_the_ball_and_the_pixel_range(
    clean: int, attacked_255: float, budget_255: float, expected: int
) -> None:
    image = torch.full((1, 1, 1, 3), clean, dtype=torch.uint8)
    attacked = torch.full((1, 3, 1, 1), attacked_255 / 255)
    found = to_uint8(attacked, image, budget_255 / 255)
    assert found.dtype == np.uint8
    assert found.shape == (1, 1, 1, 3)
    assert found[0, 0, 0, 0] == expected


def test_end_to_end_attack_continues_if_rounding_decides_success() -> None:
    def rounded(images: Tensor, rows: Tensor) -> Tensor:
        # Images 0 and 1 are attacked; in the smaller batch, image 0 has succeeded.
        value = torch.where(rows < 2, -1.0, 1.0)
        value[rows == 0] = SUCCESS if len(rows) == 2 else 0.0
        return value + 0 * images.sum(dim=(1, 2, 3))

    generator = torch.Generator().manual_seed(2)
    found = run_end_to_end_attack(2, rounded, IMAGES, [1 / 255, 2 / 255], generator)
    for _, images in found:
        assert torch.equal(images, IMAGES)


def test_to_uint8_keeps_rows_columns_and_channels() -> None:
    image = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).reshape(2, 4, 5, 3)
    attacked = image.permute(0, 3, 1, 2).float() / 255
    assert (to_uint8(attacked, image, 3 / 255) == image.numpy()).all()
