import pytest

from oodguard.models.errors import RecipeError
from oodguard.models.networks.build import build_network, check_name
from oodguard.models.networks.densenet import DenseNet
from oodguard.models.networks.resnet import ResNet


def test_build_network_has_the_given_number_of_outputs() -> None:
    small = build_network("resnet8", 7, width=4)
    assert isinstance(small, ResNet)
    assert small.head.out_features == 7
    assert isinstance(build_network("densenet-bc-100-12", 7, width=None), DenseNet)


@pytest.mark.parametrize(
    ("name", "width", "message"),
    [
        ("resnet8", None, "width: 'resnet8' requires a width, such as 32"),
        ("wrn-40-2", 32, "width is 32, but 'wrn-40-2' has a fixed width"),
        ("vgg", 32, "name is 'vgg', expected one of .*'densenet-bc-100-12'.*'resnet14'"),
        ("vgg", 32, "or an import string 'package.module:factory'"),
    ],
)
def test_build_network_errors_state_the_expected_value(
    name: str, width: int | None, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        check_name(name, width=width)
    with pytest.raises(RecipeError, match=message):
        build_network(name, 5, width=width)
