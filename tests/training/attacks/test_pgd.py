"""On a linear network the strongest attack is known: epsilon times the signs of the weights."""

import pytest
import torch
from torch import Tensor, nn

from oodguard.training.attacks.base import AttackObjective, decontrasted, uniform, unperturbed
from oodguard.training.attacks.pgd import Pgd, WorstCasePgd
from oodguard.training.scoring.network import frozen


class Linear(nn.Module):
    """Two logits, each a weighted sum of the pixels, behind a batch-norm that must not move."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.weight = nn.Parameter(torch.randn(2, 48, generator=torch.Generator().manual_seed(0)))

    def forward(self, images: Tensor) -> Tensor:
        normal: Tensor = self.norm(images)
        return normal.flatten(1) @ self.weight.T


IMAGES = torch.full((5, 3, 4, 4), 0.5)
EPSILON = 8 / 255


def first_logit(network: nn.Module) -> AttackObjective:
    return lambda images, _: network(images)[:, 0]


def _optimum(network: Linear) -> Tensor:
    return IMAGES + EPSILON * network.weight[0].sign().view(3, 4, 4)


def test_pgd_finds_the_optimum_of_a_linear_network() -> None:
    network = Linear().eval()
    attack = Pgd(epsilon=EPSILON, steps=8, step_size=EPSILON / 3)
    found = attack(first_logit(network), IMAGES, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, _optimum(network))


def test_one_step_of_more_than_twice_epsilon_is_the_optimum_from_any_start() -> None:
    network = Linear().eval()
    attack = Pgd(epsilon=EPSILON, steps=1, step_size=2 * EPSILON)
    found = attack(first_logit(network), IMAGES, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, _optimum(network))


def test_the_worst_case_keeps_the_best_iterate_and_not_the_last() -> None:
    # The aim is highest in the middle of the ball; steps of epsilon overshoot it for ever.
    network = Linear().eval()

    def near_centre(images: Tensor, _: Tensor) -> Tensor:
        value: Tensor = -network(images).abs().sum(dim=1)
        return value

    attack = WorstCasePgd(epsilon=EPSILON, steps=3, step_size=EPSILON, starts=(uniform, uniform))
    images = IMAGES.clone()
    found = attack(near_centre, images, torch.Generator().manual_seed(1))
    last = Pgd(epsilon=EPSILON, steps=3, step_size=EPSILON)(
        near_centre, images, torch.Generator().manual_seed(1)
    )
    all_rows = torch.arange(len(images))
    clean, kept, final = (near_centre(each, all_rows) for each in (images, found, last))
    assert (kept >= clean).all()
    assert (kept >= final).all()
    assert (kept > final).any()


def test_more_restarts_never_find_less() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 2)).eval()
    attacks = [
        WorstCasePgd(epsilon=EPSILON, steps=2, step_size=EPSILON, starts=(uniform,) * n)
        for n in (1, 4)
    ]
    one, four = (
        network(a(first_logit(network), IMAGES, torch.Generator().manual_seed(1)))[:, 0]
        for a in attacks
    )
    assert (four >= one).all()


@pytest.mark.parametrize(
    "attack",
    [
        Pgd(epsilon=EPSILON, steps=3, step_size=EPSILON),
        WorstCasePgd(epsilon=EPSILON, steps=3, step_size=EPSILON, starts=(uniform, uniform)),
    ],
)
def test_an_attack_stays_in_the_ball_and_leaves_the_network_alone(
    attack: Pgd | WorstCasePgd,
) -> None:
    network = Linear().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with frozen(network):
        found = attack(first_logit(network), IMAGES, torch.Generator().manual_seed(1))
    assert (found - IMAGES).abs().max() <= EPSILON + 1e-6
    assert not found.requires_grad
    assert network.training
    assert network.weight.requires_grad
    assert network.weight.grad is None
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_the_given_start_is_a_candidate() -> None:
    # Highest at the decontrasted image, and any step from it leads away.
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    flat = decontrasted(images, EPSILON, torch.Generator())

    def near_flat(pixels: Tensor, rows: Tensor) -> Tensor:
        return -(pixels - flat[rows]).abs().sum(dim=(1, 2, 3))

    attack = WorstCasePgd(
        epsilon=EPSILON, steps=2, step_size=EPSILON, starts=(unperturbed, decontrasted)
    )
    found = attack(near_flat, images, torch.Generator())
    torch.testing.assert_close(found, flat, rtol=0, atol=0)


def test_a_broken_image_is_not_asked_about_again() -> None:
    network = Linear().eval()
    clean = network(IMAGES[:1])[0, 0].item()
    asked: list[list[int]] = []

    def head_start(images: Tensor, rows: Tensor) -> Tensor:
        asked.append(rows.tolist())
        value: Tensor = network(images)[:, 0] - clean + torch.tensor([9.0, -0.2, -99.0])[rows]
        return value

    attack = WorstCasePgd(
        epsilon=EPSILON,
        steps=4,
        step_size=EPSILON / 2,
        starts=(unperturbed, unperturbed),
        stop_at=0.0,
    )
    found = attack(head_start, IMAGES[:3], torch.Generator())
    assert asked[0] == [0, 1, 2]  # clean
    assert asked[1] == [1, 2]  # the first was broken before it began
    assert asked[-1] == [2]  # the second breaks on the way, the third never
    assert [len(rows) for rows in asked] == sorted((len(rows) for rows in asked), reverse=True)
    torch.testing.assert_close(found[0], IMAGES[0], rtol=0, atol=0)
    assert head_start(found, torch.arange(3))[1] >= 0


def test_a_part_held_in_evaluation_mode_stays_there() -> None:
    # Put into training mode by its wrapper, batch-norm would score by the batch it is in.
    wrapper = nn.Sequential(Linear().eval())
    assert wrapper.training
    with frozen(wrapper):
        assert not any(module.training for module in wrapper.modules())
    assert wrapper.training
    assert not any(module.training for module in wrapper[0].modules())


def test_a_parameter_that_was_not_trained_before_is_not_afterwards() -> None:
    network = Linear()
    network.weight.requires_grad_(False)
    with frozen(network):
        pass
    assert not network.weight.requires_grad
