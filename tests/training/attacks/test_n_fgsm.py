import torch
from torch import Tensor

from oodguard.training.attacks.pgd import NFgsm

IMAGES = torch.full((4, 3, 5, 5), 0.5)
DIRECTION = torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(3)).sign()


def _along(images: Tensor, _: Tensor) -> Tensor:
    return (images * DIRECTION).sum(dim=(1, 2, 3))


def test_the_step_is_made_from_the_noise_and_not_cut_back_to_the_ball() -> None:
    attack = NFgsm(epsilon=0.1, step_size=0.1)
    found = attack(_along, IMAGES, torch.Generator().manual_seed(0))
    noise = found - IMAGES - 0.1 * DIRECTION  # what is left is the noise, uniform on +-0.2
    assert noise.abs().max() <= 0.2 + 1e-6
    assert noise.abs().max() > 0.15
    torch.testing.assert_close(noise.std(), torch.tensor(0.2 / 3**0.5), rtol=0.15, atol=0)


def test_the_found_images_are_pixels() -> None:
    found = NFgsm(epsilon=0.5, step_size=0.5)(_along, IMAGES, torch.Generator().manual_seed(0))
    assert found.min() >= 0
    assert found.max() <= 1


def test_the_gradient_is_that_of_the_noised_point() -> None:
    # Away from 0.5 in either direction: at the image itself the gradient is zero.
    def away(images: Tensor, _: Tensor) -> Tensor:
        return (images - 0.5).pow(2).sum(dim=(1, 2, 3))

    found = NFgsm(epsilon=0.1, step_size=0.1)(away, IMAGES, torch.Generator().manual_seed(0))
    distance = (found - IMAGES).abs()
    assert distance.min() >= 0.1 - 1e-6
    assert distance.max() > 0.29
