import torch
from torch import Tensor

from oodguard.training.attacks.apgd import Apgd
from oodguard.training.attacks.base import uniform
from oodguard.training.attacks.noise import RandomNoise, transfer_attack

IMAGES = torch.full((4, 3, 5, 5), 0.5)
SIGNS = torch.tensor([1.0, -1.0, 1.0, 1.0])


def brightness(images: Tensor, _: Tensor) -> Tensor:
    return images.sum(dim=(1, 2, 3))


def test_random_noise_returns_the_best_draw() -> None:
    found = RandomNoise(epsilon=0.1, draws=6)(brightness, IMAGES, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([uniform(IMAGES, 0.1, generator) for _ in range(6)])
    best = draws.sum(dim=(2, 3, 4)).argmax(dim=0)
    torch.testing.assert_close(found, draws[best, torch.arange(4)], rtol=0, atol=0)


def test_random_noise_returns_the_clean_image_if_no_draw_is_better() -> None:
    def closeness(images: Tensor, _: Tensor) -> Tensor:
        return -(images - 0.5).abs().sum(dim=(1, 2, 3))

    found = RandomNoise(epsilon=0.1, draws=3)(closeness, IMAGES, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, IMAGES, rtol=0, atol=0)


def test_transfer_attack_maximizes_the_source_and_only_evaluates_the_victim() -> None:
    with_gradient: list[bool] = []

    def victim(images: Tensor, rows: Tensor) -> Tensor:
        with_gradient.append(images.requires_grad)
        return SIGNS[rows] * brightness(images, rows)  # the attack lowers that of the second image

    found = transfer_attack(
        Apgd(epsilon=0.1, steps=5), IMAGES, torch.Generator(), source=brightness, victim=victim
    )
    torch.testing.assert_close(found[0], torch.full((3, 5, 5), 0.6))
    torch.testing.assert_close(found[1], IMAGES[1], rtol=0, atol=0)
    assert with_gradient == [False, False]
