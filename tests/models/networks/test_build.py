import pytest

from oodguard.models.errors import RecipeError
from oodguard.models.networks.build import build_network, check_name
from oodguard.models.networks.densenet import DenseNet
from oodguard.models.networks.resnet import ResNet


def test_a_name_gives_its_network_with_that_many_outputs() -> None:
    small = build_network("resnet8", 7, width=4)
    assert isinstance(small, ResNet)
    assert small.head.out_features == 7
    assert isinstance(build_network("densenet-bc-100-12", 7, width=None), DenseNet)


@pytest.mark.parametrize(
    ("name", "width", "complaint"),
    [
        ("resnet8", None, "width: 'resnet8' wants one, such as 32; none came"),
        ("wrn-40-2", 32, "width: 'wrn-40-2' fixes its own; none was wanted, came 32"),
        ("vgg", 32, "name: came 'vgg', wanted one of .*'densenet-bc-100-12'.*'resnet14'"),
        ("vgg", 32, "or an import string 'package.module:factory'"),
    ],
)
def test_an_error_says_what_was_wanted(name: str, width: int | None, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        check_name(name, width=width)
    with pytest.raises(RecipeError, match=complaint):
        build_network(name, 5, width=width)
