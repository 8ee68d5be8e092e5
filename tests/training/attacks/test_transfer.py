import torch
from torch import Tensor

from oodguard.training.attacks.apgd import Apgd
from oodguard.training.attacks.noise import transfer_attack

IMAGES = torch.full((2, 3, 4, 4), 0.5)
SIGNS = torch.tensor([1.0, -1.0])


def brightness(images: Tensor) -> Tensor:
    return images.sum(dim=(1, 2, 3))


def test_the_source_is_climbed_and_the_victim_only_judges() -> None:
    asked: list[bool] = []

    def victim(images: Tensor, rows: Tensor) -> Tensor:
        asked.append(images.requires_grad)
        return SIGNS[rows] * brightness(images)  # the second is worse off by what was found

    def source(images: Tensor, _: Tensor) -> Tensor:
        return brightness(images)

    attack = Apgd(epsilon=0.1, steps=5)
    found = transfer_attack(attack, IMAGES, torch.Generator(), source=source, victim=victim)
    torch.testing.assert_close(found[0], torch.full((3, 4, 4), 0.6))
    torch.testing.assert_close(found[1], IMAGES[1], rtol=0, atol=0)
    assert asked == [False, False]
