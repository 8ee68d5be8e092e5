import pytest
import torch
from torch import Tensor, nn

from oodguard.models.networks.resnet import ResNet
from oodguard.training.scoring.network import MixedPrecisionNetwork


class Witness(nn.Module):
    """Answers the sum of the pixels and remembers how they came."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 1, 1, bias=False)
        self.came: Tensor | None = None
        self.made: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        self.came = images
        self.made = self.convolution(images)
        return self.made.mean(dim=(2, 3))


IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_bfloat16_runs_in_bfloat16_and_answers_in_float32() -> None:
    network = Witness()
    logits = MixedPrecisionNetwork(network, "bfloat16")(IMAGES)
    assert network.made is not None
    assert network.made.dtype == torch.bfloat16
    assert logits.dtype == torch.float32


def test_float32_is_the_network_itself() -> None:
    network = Witness()
    logits = MixedPrecisionNetwork(network, "float32")(IMAGES)
    torch.testing.assert_close(logits, network(IMAGES))


def test_images_come_channels_last() -> None:
    network = Witness()
    MixedPrecisionNetwork(network, "float32")(IMAGES)
    assert network.came is not None
    assert network.came.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("width", "layout"), [(4, torch.contiguous_format), (16, torch.channels_last)]
)
def test_narrow_strided_shortcuts_never_see_channels_last(
    width: int, layout: torch.memory_format
) -> None:
    """Else oneDNN writes past its workspace; see the module."""
    network = ResNet(1, 5, width)
    came: list[Tensor] = []
    shortcut = network.get_submodule("stages.1.shortcut.0")
    shortcut.register_forward_pre_hook(lambda _, inputs: came.append(inputs[0]))
    MixedPrecisionNetwork(network, "float32")(torch.rand(2, 3, 16, 16))
    assert came[0].is_contiguous(memory_format=layout)


def test_large_images_train_a_narrow_network() -> None:
    """The sizes at which channels-last crashes the process, as of torch 2.13."""
    network = ResNet(1, 5, 4)
    MixedPrecisionNetwork(network, "float32")(torch.rand(2, 3, 128, 128)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
