"""The architectures, by parameter counts derived by hand.

The papers give 0.8 million for DenseNet-BC (table 2) and 2.2 million for WRN-40-2 (table 4).
"""

import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.models.networks import FIXED_NETWORKS, build_network, check_name


def _resnet(outputs: int, *, blocks: int, width: int) -> int:
    """Weights and two batch-norm vectors of every convolution, then the head with its bias."""
    total, channels = 3 * width * 16 + 2 * width, width
    for stage in range(3):
        wider = width * 2**stage
        for _ in range(blocks):
            total += 9 * channels * wider + 9 * wider * wider + 4 * wider
            if channels != wider:
                total += channels * wider + 2 * wider
            channels = wider
    return total + channels * outputs + outputs


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


@pytest.mark.parametrize(
    ("name", "width", "parameters"),
    [
        *((f"resnet{6 * n + 2}", 16, _resnet(43, blocks=n, width=16)) for n in (1, 2, 3)),
        ("densenet-bc-100-12", None, _densenet(43)),
        ("wrn-40-2", None, _preact(43, stem=16, widths=(32, 64, 128), blocks=6)),
        ("preactresnet18", None, _preact(43, stem=64, widths=(64, 128, 256, 512), blocks=2)),
    ],
)
def test_network_has_the_expected_number_of_parameters(
    name: str, width: int | None, parameters: int
) -> None:
    network = build_network(name, 43, width=width)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "width", "features"),
    [
        ("resnet8", 4, 16),
        ("densenet-bc-100-12", None, 342),
        ("wrn-40-2", None, 128),
        ("preactresnet18", None, 512),
    ],
)
@pytest.mark.parametrize("size", [(16, 16), (17, 24)])
def test_network_accepts_any_image_size(
    name: str, width: int | None, features: int, size: tuple[int, int]
) -> None:
    network = build_network(name, 5, width=width).eval()
    images = torch.rand(2, 3, *size)
    found = network.features(images)
    assert found.shape == (2, features)
    logits = network(images)
    assert logits.shape == (2, 5)
    torch.testing.assert_close(network.head(found), logits)


@pytest.mark.parametrize(
    ("name", "width", "message"),
    [
        ("resnet8", None, "width: 'resnet8' requires a width, such as 32"),
        ("wrn-40-2", 32, "width is 32, but 'wrn-40-2' has a fixed width"),
        ("vgg", 32, "name is 'vgg', expected one of .*'densenet-bc-100-12'.*'resnet14'"),
        ("vgg", 32, "'timm:resnet18', or a factory 'package.module:factory'"),
        ("timm:resnet18", 32, "width is 32, but 'timm:resnet18' has a fixed width"),
        ("timm:", None, "name is 'timm:', expected a model, such as 'timm:resnet18'"),
    ],
)
def test_network_errors_state_the_expected_value(
    name: str, width: int | None, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        check_name(name, width=width)
    with pytest.raises(RecipeError, match=message):
        build_network(name, 5, width=width)


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
