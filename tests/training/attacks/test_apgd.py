import pytest
import torch
from torch import Tensor, nn

from oodguard.training.attacks.apgd import Apgd, _checkpoints
from oodguard.training.attacks.base import (
    AttackObjective,
    decontrasted,
    gaussian,
    uniform,
    unperturbed,
    value_and_gradient,
)

EPSILON = 8 / 255
WEIGHTS = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def linear(images: Tensor, _: Tensor) -> Tensor:
    return (images * WEIGHTS).sum(dim=(1, 2, 3))


def test_apgd_checkpoints_are_those_of_the_authors() -> None:
    # Intervals of 22 %, each 3 % shorter until they are 6 %; where that is whole, the paper's too:
    # p: .22, .41, .57, .70, .80, .87, then by .06: .93, .99.
    assert [step for step, _ in _checkpoints(100)] == [22, 41, 57, 70, 80, 87, 93, 99]
    assert [width for _, width in _checkpoints(100)] == [22, 19, 16, 13, 10, 7, 6, 6]
    # 2.2 is 2; 0.3 and 0.6 are 1.
    assert list(_checkpoints(10)) == [(2, 2), *((step, 1) for step in range(3, 11))]
    # 8.8, 1.2 and 2.4 are 8, 1 and 2.
    assert [width for _, width in _checkpoints(40)] == [8, 7, 6, 5, 4, 3, 2, 2, 2]


@pytest.mark.parametrize("start", [unperturbed, uniform, decontrasted, gaussian])
def test_apgd_finds_the_optimum_of_a_linear_network(start: object) -> None:
    attack = Apgd(epsilon=EPSILON, steps=10, starts=(start,))  # type: ignore[arg-type]
    found = attack(linear, IMAGES, torch.Generator().manual_seed(2))
    optimum = torch.clamp(IMAGES + EPSILON * WEIGHTS.sign(), 0, 1)
    torch.testing.assert_close(found, optimum)


def test_apgd_halves_the_step_only_where_it_overshoots() -> None:
    # The first step reaches the optimum of the first image, a corner of its ball. That of the
    # second image is 0.3 epsilon from the centre: every step of two epsilons passes it.
    centre = torch.full((2, 1, 1, 1), 0.5)
    peaks = torch.tensor([EPSILON, 0.3 * EPSILON]).view(2, 1, 1, 1)
    seen: list[Tensor] = []

    def near_peak(images: Tensor, rows: Tensor) -> Tensor:
        seen.append(((images - centre[rows]) / EPSILON).detach().flatten())
        value: Tensor = -(images - centre[rows] - peaks[rows]).abs().sum(dim=(1, 2, 3))
        return value

    found = Apgd(epsilon=EPSILON, steps=40, starts=(unperturbed,))(
        near_peak, centre, torch.Generator()
    )
    assert ((found - centre - peaks).abs() / EPSILON).flatten().tolist() == pytest.approx(
        [0, 0], abs=0.05
    )
    # PGD with the first step size would visit only -1, 0 and 1.
    assert {round(offset.item()) for offset in torch.stack(seen)[:, 0]} == {0, 1}


def test_apgd_momentum_is_a_quarter_of_the_previous_move() -> None:
    # Up, and beyond 0.3 epsilon down: x0 = 0, x1 = 1, x2 = x1 + .75 (-1 - 1) + .25 (1 - 0).
    seen: list[float] = []

    def kink(images: Tensor, _: Tensor) -> Tensor:
        seen.append(((images - 0.5) / EPSILON).item())
        value: Tensor = -(images - 0.5 - 0.3 * EPSILON).abs().sum(dim=(1, 2, 3))
        return value

    image = torch.full((1, 1, 1, 1), 0.5)
    Apgd(epsilon=EPSILON, steps=30, starts=(unperturbed,))(kink, image, torch.Generator())
    clean, start, first, second = seen[:4]
    assert (clean, start) == (0, 0)
    assert first == pytest.approx(1, abs=1e-5)
    assert second == pytest.approx(-0.25, abs=1e-5)


def test_apgd_never_ends_below_the_clean_image_or_the_start() -> None:
    flat = decontrasted(IMAGES, EPSILON, torch.Generator())

    def near(target: Tensor) -> AttackObjective:
        return lambda images, rows: -(images - target[rows]).pow(2).sum(dim=(1, 2, 3)).sqrt()

    attack = Apgd(epsilon=EPSILON, steps=3, starts=(uniform, decontrasted))
    for target in (IMAGES, flat):
        found = attack(near(target), IMAGES, torch.Generator().manual_seed(3))
        torch.testing.assert_close(found, target, rtol=0, atol=0)


def test_apgd_survives_nan_gradients() -> None:
    def broken_above(images: Tensor, rows: Tensor) -> Tensor:
        value = linear(images, rows)
        return value + 0 * torch.sqrt(clean[rows] + 0.5 - value)

    clean = linear(IMAGES, torch.arange(5))
    attack = Apgd(epsilon=EPSILON, steps=20, starts=(uniform, unperturbed))
    found = attack(broken_above, IMAGES, torch.Generator().manual_seed(3))
    value, _ = value_and_gradient(broken_above, found, torch.arange(5))
    assert found.isfinite().all()
    assert (value > clean).all()


def test_apgd_drops_finished_images_without_an_effect_on_the_others() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 1)).eval()
    sizes: list[int] = []
    bonus = torch.tensor([5.0, 0.0, -5.0, -5.0, -5.0])

    def objective(images: Tensor, rows: Tensor) -> Tensor:
        sizes.append(len(rows))
        value: Tensor = network(images)[:, 0] - base[rows] + bonus[rows]
        return value

    base = network(IMAGES)[:, 0].detach()
    without_limit = Apgd(epsilon=EPSILON, steps=20, starts=(unperturbed,))(
        objective, IMAGES, torch.Generator()
    )
    best = objective(without_limit, torch.arange(5)).detach()
    assert best[1] > 0.02
    sizes.clear()
    attack = Apgd(epsilon=EPSILON, steps=20, starts=(unperturbed, gaussian), stop_at=0.01)
    found = attack(objective, IMAGES, torch.Generator())
    assert sizes[:3] == [5, 4, 4]  # clean, start, first step: the clean first image is finished
    assert sizes[-1] == 3
    torch.testing.assert_close(found[0], IMAGES[0], rtol=0, atol=0)
    reached = objective(found, torch.arange(5)).detach()
    assert reached[1] >= 0.01
    assert (reached[2:] >= best[2:] - 1e-5).all()
