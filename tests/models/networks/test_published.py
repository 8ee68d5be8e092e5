"""The published networks, by parameter counts derived by hand.

The papers give 0.8 million for DenseNet-BC (table 2) and 2.2 million for WRN-40-2 (table 4).
"""

import pytest
import torch

from oodguard.models.networks import FIXED_NETWORKS


def _densenet(outputs: int) -> int:
    """Depth 100, growth 12, compression 1/2; a batch-norm has two numbers a channel."""
    total, channels = 3 * 9 * 24, 24
    for block in range(3):
        if block > 0:
            total += 2 * channels + channels * channels // 2
            channels //= 2
        for _ in range(16):
            total += 2 * channels + channels * 48 + 2 * 48 + 48 * 12 * 9
            channels += 12
    return total + 2 * channels + channels * outputs + outputs


def _preact(outputs: int, *, stem: int, widths: tuple[int, ...], blocks: int) -> int:
    """Pre-activation blocks: a projection is one 1x1 convolution without a batch-norm."""
    total, channels = 3 * 9 * stem, stem
    for width in widths:
        for block in range(blocks):
            total += 2 * channels + 9 * channels * width + 2 * width + 9 * width * width
            if block == 0 and channels != width:
                total += channels * width
            channels = width
    return total + 2 * channels + channels * outputs + outputs


def _by_hand(name: str, outputs: int) -> int:
    if name == "densenet-bc-100-12":
        return _densenet(outputs)
    if name == "wrn-40-2":
        return _preact(outputs, stem=16, widths=(32, 64, 128), blocks=6)
    return _preact(outputs, stem=64, widths=(64, 128, 256, 512), blocks=2)


@pytest.mark.parametrize("name", FIXED_NETWORKS)
def test_published_network_has_the_expected_number_of_parameters(name: str) -> None:
    network = FIXED_NETWORKS[name](43)
    assert sum(p.numel() for p in network.parameters()) == _by_hand(name, 43)


@pytest.mark.parametrize(
    ("name", "width"), [("densenet-bc-100-12", 342), ("wrn-40-2", 128), ("preactresnet18", 512)]
)
@pytest.mark.parametrize("size", [(16, 16), (17, 24)])
def test_published_network_accepts_any_image_size(
    name: str, width: int, size: tuple[int, int]
) -> None:
    network = FIXED_NETWORKS[name](5).eval()
    images = torch.rand(2, 3, *size)
    features = network.features(images)
    assert features.shape == (2, width)
    logits = network(images)
    assert logits.shape == (2, 5)
    torch.testing.assert_close(network.head(features), logits)


@pytest.mark.parametrize("name", FIXED_NETWORKS)
def test_published_network_normalizes_in_its_first_layer(name: str) -> None:
    """Normalization maps mean grey to zero, and the stem has no bias."""
    network = FIXED_NETWORKS[name](5)
    stem = torch.nn.Sequential(*list(network.layers.children())[:2])  # type: ignore[union-attr]
    assert stem(torch.full((1, 3, 8, 8), 0.5)).abs().max() == 0
    assert stem(torch.full((1, 3, 8, 8), 0.6)).abs().max() > 0


@pytest.mark.parametrize("name", FIXED_NETWORKS)
def test_initial_convolutions_have_variance_two_over_fan_out(name: str) -> None:
    torch.manual_seed(0)
    network = FIXED_NETWORKS[name](5)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    for module in convolutions:
        weight = module.weight.detach()
        fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
        spread = 5 * (2 / weight.numel()) ** 0.5  # five standard errors of a variance
        assert weight.var().item() * fan_out / 2 == pytest.approx(1, rel=spread)
