import pytest
import torch

from oodguard.models.networks import NETWORKS_BY_WIDTH
from oodguard.models.networks.resnet import ResNet


def _parameters(blocks: int, width: int, classes: int) -> int:
    """Weights and two batch-norm vectors of every convolution, then the head with its bias."""
    stem = 3 * width * 16 + 2 * width
    total, inputs = stem, width
    for stage in range(3):
        outputs = width * 2**stage
        for _ in range(blocks):
            total += 9 * inputs * outputs + 9 * outputs * outputs + 4 * outputs
            if inputs != outputs:
                total += inputs * outputs + 2 * outputs
            inputs = outputs
    return total + inputs * classes + classes


@pytest.mark.parametrize(("name", "blocks"), [("resnet8", 1), ("resnet14", 2), ("resnet20", 3)])
def test_resnet_has_the_expected_number_of_parameters(name: str, blocks: int) -> None:
    network = NETWORKS_BY_WIDTH[name](7, 16)
    assert sum(p.numel() for p in network.parameters()) == _parameters(blocks, 16, 7)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (33, 47)])
def test_resnet_accepts_any_image_size(size: tuple[int, int]) -> None:
    network = NETWORKS_BY_WIDTH["resnet8"](5, 4).eval()
    assert network(torch.rand(3, 3, *size)).shape == (3, 5)


def test_resnet_logits_are_the_head_of_the_features() -> None:
    network = ResNet(1, 5, 4).eval()
    images = torch.rand(2, 3, 32, 32)
    features = network.features(images)
    assert features.shape == (2, 16)
    torch.testing.assert_close(network.head(features), network(images))
