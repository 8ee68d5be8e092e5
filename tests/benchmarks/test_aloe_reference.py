import pytest
import torch

from benchmarks.aloe_reference import Habits, NormalizeOneByOne, ReferenceStep
from oodguard.models.networks.resnet import ResNet

NONE = Habits(**dict.fromkeys(Habits.__dataclass_fields__, False))


def _images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 8, 8, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("habits", "updates"), [(Habits(), 6), (NONE, 1)])
def test_aloe_reference_updates_batch_norm_in_every_pass_in_training_mode(
    habits: Habits, updates: int
) -> None:
    """Six: one clean pass, two steps of each of the two attacks, and the training pass."""
    torch.manual_seed(0)
    network = ResNet(1, 3, 16)
    weights = network.head.get_parameter("weight")
    before = weights.clone()
    loss = ReferenceStep(network, habits)(_images(4), torch.tensor([0, 1, 2, 0]), _images(6))
    assert 0 < loss < 10
    assert network.get_buffer("stem.2.num_batches_tracked") == updates
    assert not torch.equal(weights, before)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_aloe_reference_normalizes_by_mean_and_standard_deviation() -> None:
    images = torch.zeros(2, 3, 1, 1)
    images[1] = torch.tensor([125.3 + 63.0, 123.0 - 62.1, 113.9]).view(3, 1, 1) / 255
    normalized = NormalizeOneByOne()(images)[1].flatten()
    torch.testing.assert_close(normalized, torch.tensor([1.0, -1.0, 0.0]), atol=1e-5, rtol=0)
    assert images[0].sum() == 0
