import torch
from torch import Tensor

from oodguard.training.attacks.base import uniform
from oodguard.training.attacks.noise import RandomNoise

IMAGES = torch.full((4, 3, 5, 5), 0.5)


def bright(images: Tensor, _: Tensor) -> Tensor:
    return images.sum(dim=(1, 2, 3))


def test_the_best_draw_is_kept() -> None:
    found = RandomNoise(epsilon=0.1, draws=6)(bright, IMAGES, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([uniform(IMAGES, 0.1, generator) for _ in range(6)])
    best = draws.sum(dim=(2, 3, 4)).argmax(dim=0)
    torch.testing.assert_close(found, draws[best, torch.arange(4)], rtol=0, atol=0)


def test_the_clean_image_is_a_candidate() -> None:
    def still(images: Tensor, _: Tensor) -> Tensor:
        return -(images - 0.5).abs().sum(dim=(1, 2, 3))

    found = RandomNoise(epsilon=0.1, draws=3)(still, IMAGES, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, IMAGES, rtol=0, atol=0)
