import pytest
import torch
from torch import nn

from oodguard.models.errors import CheckpointError
from oodguard.training.run_folder import load_weights


def test_the_tensors_of_the_same_network_are_loaded() -> None:
    one, two = nn.Linear(2, 3), nn.Linear(2, 3)
    load_weights(two, one.state_dict(), origin="file")
    assert torch.equal(one.weight, two.weight)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            nn.Sequential(nn.Linear(2, 4)),
            "it has 0.weight 4x2 where 3x2 was wanted, 0.bias 4 where",
        ),
        (nn.Sequential(nn.Linear(2, 3, bias=False)), "it lacks 0.bias. Use the recipe"),
        (
            nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 3)),
            "it has beside 1.weight, 1.bias, 2.weight and 1 more. Use the recipe",
        ),
        (nn.Linear(2, 3), "it lacks 0.weight, 0.bias; it has beside weight, bias. Use"),
    ],
    ids=["other width", "missing", "deeper", "other names"],
)
def test_another_network_is_refused_with_what_differs_and_nothing_is_changed(
    other: nn.Module, said: str
) -> None:
    layer = nn.Linear(2, 3)
    before = layer.weight.clone()
    with pytest.raises(CheckpointError, match="run/epoch-001 is of another network") as caught:
        load_weights(nn.Sequential(layer), other.state_dict(), origin="run/epoch-001")
    assert said in str(caught.value)
    assert torch.equal(layer.weight, before)
