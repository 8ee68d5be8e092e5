"""Networks of timm: construction, normalization and errors."""

import builtins
from typing import Any

import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.models.networks import build_network
from oodguard.models.networks.timm_network import TimmNetwork, check_timm_name, import_timm

SMALL = ("timm:test_resnet", "timm:test_vit", "timm:test_convnext")


@pytest.mark.parametrize("name", SMALL)
def test_timm_network_equals_timm_with_normalized_images(name: str) -> None:
    network = build_network(name, 7, width=None, size=(64, 64)).eval()
    assert isinstance(network, TimmNetwork)
    reference = (
        import_timm()
        .create_model(
            name.removeprefix("timm:"),
            num_classes=7,
            **({"img_size": 64} if name.endswith("vit") else {}),
        )
        .eval()
    )
    reference.load_state_dict({network.name_in_file(k): t for k, t in network.state_dict().items()})
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    settings = reference.pretrained_cfg
    mean, std = (torch.tensor(settings[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(network(images), reference((images - mean) / std))
        torch.testing.assert_close(network.head(network.features(images)), network(images))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet19", "is not a model of timm .*similar names: timm:resnet18"),
        ("timm:resnet18.no_such_tag", "is not a model of timm"),
    ],
)
def test_timm_network_with_an_unknown_name_is_an_error(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"network.name: '{name}' {message}"):
        check_timm_name(name)


def test_timm_network_of_a_size_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"'timm:test_vit' .* 5 x 5 pixels"):
        build_network("timm:test_vit", 7, width=None, size=(5, 5))


def test_timm_network_without_timm_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_timm(name: str, *args: Any, **options: Any) -> Any:
        if name == "timm":
            raise ModuleNotFoundError("No module named 'timm'", name="timm")
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without_timm)
    with pytest.raises(RecipeError, match=r"the package timm is not installed.*\[timm\]"):
        check_timm_name("timm:resnet18")
