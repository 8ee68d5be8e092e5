"""Networks of recipes: built and checked, loaded from a run, frozen, run in mixed precision."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from oodguard.models.errors import RecipeError
from oodguard.models.networks.resnet import ResNet
from oodguard.training.config.recipe import Recipe
from oodguard.training.scoring.network import (
    MixedPrecisionNetwork,
    build_recipe_network,
    frozen,
    trained_network,
)
from tests.training.recipes import RECIPE, parsed, with_network
from tests.training.runs import save_run

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.held = nn.Linear(3, 4).requires_grad_(False)
        self.free = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, outputs)

    def features(self, images):
        return self.free(self.held(images.mean((2, 3))))

    def forward(self, images):
        return self.head(self.features(images))

class Maps(Net):
    def features(self, images):
        return images

class OneTooMany(Net):
    def __init__(self, outputs):
        super().__init__(outputs + 1)

class OtherCall(Net):
    def forward(self, images):
        return super().forward(images) + 1

class NoCall(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.head = nn.Linear(3, outputs)

    def features(self, images):
        return images.mean((2, 3))
"""


@pytest.fixture(autouse=True)
def _user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_users_nets.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "a_users_nets", raising=False)


def _recipe(name: str) -> Recipe:
    return parsed(with_network(RECIPE, name))


def test_parsing_a_recipe_runs_no_user_code() -> None:
    recipe = _recipe("a_users_nets:Net")
    assert "a_users_nets" not in sys.modules
    network = build_recipe_network(recipe, classes=5)
    assert network(torch.rand(2, 3, 8, 8)).shape == (2, 5)


def test_recipe_network_is_unchanged_by_its_check() -> None:
    network = build_recipe_network(_recipe("a_users_nets:Net"), classes=5)
    assert all(module.training for module in network.modules())
    assert [p.requires_grad for p in network.parameters()] == [False] * 2 + [True] * 4
    norm = network.get_submodule("free")
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Maps", r"features: received shape \(2, 3, 32, 32\), expected \(2, D\)"),
        ("OneTooMany", r"head\(features\): received shape \(2, 6\), expected \(2, 5\)"),
        ("OtherCall", r"network\(images\) differs from head\(features\(images\)\)"),
        ("NoCall", r"\[NoCall\] is missing the required \"forward\" function"),
    ],
)
def test_recipe_network_of_another_shape_is_rejected(name: str, message: str) -> None:
    expected = rf"network\.name: 'a_users_nets:{name}' on images \(2, 3, 32, 32\).*{message}"
    with pytest.raises(RecipeError, match=expected):
        build_recipe_network(_recipe(f"a_users_nets:{name}"), classes=5)


def test_recipe_network_rejects_images_that_are_too_small() -> None:
    recipe = parsed(with_network(RECIPE, "densenet-bc-100-12").replace("t = 32", "t = 3"))
    with pytest.raises(
        RecipeError, match=r"'densenet-bc-100-12' on images \(2, 3, 3, 32\) raised "
    ):
        build_recipe_network(recipe, classes=5)


def test_trained_network_with_mirror_is_the_mean_over_the_mirror_image(tmp_path: Path) -> None:
    mirror = RECIPE.replace("width = 4", "width = 4\nmirror = true")
    plain = trained_network(save_run(tmp_path / "plain", RECIPE), classes=3)
    mirrored = trained_network(save_run(tmp_path / "mirror", mirror), classes=3)
    images = torch.rand(2, 3, 16, 16)
    expected = (plain(images) + plain(images.flip(3))) / 2
    assert not torch.allclose(expected, plain(images), atol=1e-3)
    torch.testing.assert_close(mirrored(images), expected)
    assert not mirrored.training
    assert not any(parameter.requires_grad for parameter in mirrored.parameters())


def test_frozen_restores_the_mode_of_each_submodule() -> None:
    # In training mode, batch-norm would use the statistics of the batch.
    wrapper = nn.Sequential(nn.BatchNorm2d(3).eval())
    assert wrapper.training
    with frozen(wrapper):
        assert not any(module.training for module in wrapper.modules())
    assert wrapper.training
    assert not wrapper[0].training


def test_frozen_restores_which_parameters_are_trainable() -> None:
    network = nn.Linear(2, 2)
    network.weight.requires_grad_(False)
    with frozen(network):
        assert not network.bias.requires_grad
    assert network.bias.requires_grad
    assert not network.weight.requires_grad


class Recorder(nn.Module):
    """Returns channel means and records its input and the output of its convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 1, 1, bias=False)
        self.recorded: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        convolved: Tensor = self.convolution(images)
        self.recorded = [images, convolved]
        return convolved.mean(dim=(2, 3))


IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_mixed_precision_network_computes_in_bfloat16_and_returns_float32() -> None:
    network = Recorder()
    logits = MixedPrecisionNetwork(network, "bfloat16")(IMAGES)
    assert network.recorded[1].dtype == torch.bfloat16
    assert logits.dtype == torch.float32


def test_mixed_precision_network_in_float32_is_the_network_with_channels_last() -> None:
    network = Recorder()
    logits = MixedPrecisionNetwork(network, "float32")(IMAGES)
    assert network.recorded[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(logits, network(IMAGES))


@pytest.mark.parametrize(
    ("width", "layout"), [(4, torch.contiguous_format), (16, torch.channels_last)]
)
def test_mixed_precision_network_keeps_narrow_strided_convolutions_contiguous(
    width: int, layout: torch.memory_format
) -> None:
    """With channels last, oneDNN writes past its workspace; see `NARROWEST_STRIDED`."""
    network = ResNet(1, 5, width)
    recorded: list[Tensor] = []
    shortcut = network.get_submodule("stages.1.shortcut.0")
    shortcut.register_forward_pre_hook(lambda _, inputs: recorded.append(inputs[0]))
    MixedPrecisionNetwork(network, "float32")(torch.rand(2, 3, 16, 16))
    assert recorded[0].is_contiguous(memory_format=layout)


def test_mixed_precision_network_trains_a_narrow_network_on_large_images() -> None:
    """At these sizes channels last crashes the process, as of torch 2.13."""
    network = ResNet(1, 5, 4)
    MixedPrecisionNetwork(network, "float32")(torch.rand(2, 3, 128, 128)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
