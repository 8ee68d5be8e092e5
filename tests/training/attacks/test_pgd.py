"""On a linear network the strongest attack is known: epsilon times the signs of the weights."""

import pytest
import torch
from torch import Tensor, nn

from training.attacks.gradient import frozen
from training.attacks.pgd import Pgd, WorstCasePgd


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


def first_logit(logits: Tensor) -> Tensor:
    return logits[:, 0]


def _optimum(network: Linear) -> Tensor:
    return IMAGES + EPSILON * network.weight[0].sign().view(3, 4, 4)


def test_pgd_finds_the_optimum_of_a_linear_network() -> None:
    network = Linear().eval()
    attack = Pgd(epsilon=EPSILON, steps=8, step_size=EPSILON / 3)
    found = attack(network, IMAGES, first_logit, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, _optimum(network))


def test_one_step_of_more_than_twice_epsilon_is_the_optimum_from_any_start() -> None:
    network = Linear().eval()
    attack = Pgd(epsilon=EPSILON, steps=1, step_size=2 * EPSILON)
    found = attack(network, IMAGES, first_logit, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, _optimum(network))


def test_the_worst_case_keeps_the_best_iterate_and_not_the_last() -> None:
    # The aim is highest in the middle of the ball; steps of epsilon overshoot it for ever.
    def near_centre(logits: Tensor) -> Tensor:
        return -logits.abs().sum(dim=1)

    network = Linear().eval()
    attack = WorstCasePgd(epsilon=EPSILON, steps=3, step_size=EPSILON, restarts=2)
    images = IMAGES.clone()
    clean = near_centre(network(images))
    found = attack(network, images, near_centre, torch.Generator().manual_seed(1))
    last = Pgd(epsilon=EPSILON, steps=3, step_size=EPSILON)(
        network, images, near_centre, torch.Generator().manual_seed(1)
    )
    assert (near_centre(network(found)) >= clean).all()
    assert (near_centre(network(found)) >= near_centre(network(last))).all()
    assert (near_centre(network(found)) > near_centre(network(last))).any()


def test_more_restarts_never_find_less() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 2)).eval()
    attacks = [
        WorstCasePgd(epsilon=EPSILON, steps=2, step_size=EPSILON, restarts=n) for n in (1, 4)
    ]
    one, four = (
        first_logit(network(a(network, IMAGES, first_logit, torch.Generator().manual_seed(1))))
        for a in attacks
    )
    assert (four >= one).all()


@pytest.mark.parametrize(
    "attack",
    [
        Pgd(epsilon=EPSILON, steps=3, step_size=EPSILON),
        WorstCasePgd(epsilon=EPSILON, steps=3, step_size=EPSILON, restarts=2),
    ],
)
def test_an_attack_stays_in_the_ball_and_leaves_the_network_alone(
    attack: Pgd | WorstCasePgd,
) -> None:
    network = Linear().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = attack(network, IMAGES, first_logit, torch.Generator().manual_seed(1))
    assert (found - IMAGES).abs().max() <= EPSILON + 1e-6
    assert not found.requires_grad
    assert network.training
    assert network.weight.requires_grad
    assert network.weight.grad is None
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


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
