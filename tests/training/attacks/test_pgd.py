"""On a linear network the strongest attack is known: epsilon times the signs of the weights."""

import pytest
import torch
from torch import Tensor, nn

from oodguard.training.attacks.pgd import NFgsm, Pgd
from oodguard.training.scoring.network import frozen

IMAGES = torch.full((5, 3, 4, 4), 0.5)
EPSILON = 8 / 255
DIRECTION = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(3)).sign()


class Linear(nn.Module):
    """Two logits, each a weighted sum of the pixels, behind a batch-norm that must not change."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.weight = nn.Parameter(torch.randn(2, 48, generator=torch.Generator().manual_seed(0)))

    def forward(self, images: Tensor) -> Tensor:
        normal: Tensor = self.norm(images)
        return normal.flatten(1) @ self.weight.T


def along_direction(images: Tensor, _: Tensor) -> Tensor:
    return (images * DIRECTION).sum(dim=(1, 2, 3))


@pytest.mark.parametrize(("steps", "step_size"), [(8, EPSILON / 3), (1, 2 * EPSILON)])
def test_pgd_finds_the_optimum_of_a_linear_network(steps: int, step_size: float) -> None:
    network = Linear().eval()
    attack = Pgd(epsilon=EPSILON, steps=steps, step_size=step_size)
    found = attack(
        lambda images, _: network(images)[:, 0], IMAGES, torch.Generator().manual_seed(1)
    )
    optimum = IMAGES + EPSILON * network.weight[0].sign().view(3, 4, 4)
    torch.testing.assert_close(found, optimum)


def test_pgd_stays_in_the_ball_and_leaves_a_frozen_network_unchanged() -> None:
    network = Linear().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    attack = Pgd(epsilon=EPSILON, steps=3, step_size=EPSILON)
    with frozen(network):
        found = attack(
            lambda images, _: network(images)[:, 0], IMAGES, torch.Generator().manual_seed(1)
        )
    assert (found - IMAGES).abs().max() <= EPSILON + 1e-6
    assert not found.requires_grad
    assert network.training
    assert network.weight.requires_grad
    assert network.weight.grad is None
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_n_fgsm_steps_from_the_noise_without_projection() -> None:
    attack = NFgsm(epsilon=0.1, step_size=0.1)
    found = attack(along_direction, IMAGES, torch.Generator().manual_seed(0))
    noise = found - IMAGES - 0.1 * DIRECTION  # the rest is the noise, uniform on +-0.2
    assert noise.abs().max() <= 0.2 + 1e-6
    assert noise.abs().max() > 0.15
    torch.testing.assert_close(noise.std(), torch.tensor(0.2 / 3**0.5), rtol=0.15, atol=0)


def test_n_fgsm_returns_values_in_the_pixel_range() -> None:
    attack = NFgsm(epsilon=0.5, step_size=0.5)
    found = attack(along_direction, IMAGES, torch.Generator().manual_seed(0))
    assert found.min() >= 0
    assert found.max() <= 1


def test_n_fgsm_uses_the_gradient_at_the_noised_point() -> None:
    # Away from 0.5 in either direction: at the image itself the gradient is zero.
    def away(images: Tensor, _: Tensor) -> Tensor:
        return (images - 0.5).pow(2).sum(dim=(1, 2, 3))

    found = NFgsm(epsilon=0.1, step_size=0.1)(away, IMAGES, torch.Generator().manual_seed(0))
    distance = (found - IMAGES).abs()
    assert distance.min() >= 0.1 - 1e-6
    assert distance.max() > 0.29
