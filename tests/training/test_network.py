"""A recipe's network is tried before it is trained."""

import sys
from pathlib import Path

import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe, parse_recipe
from oodguard.training.scoring.network import build_recipe_network

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


def _text(recipe_text: str, name: str) -> str:
    return recipe_text.replace('"resnet8"\nwidth = 4', f'"{name}"')


def _recipe(recipe_text: str, name: str) -> Recipe:
    return parse_recipe(_text(recipe_text, name), origin="tiny.toml")


def test_reading_a_recipe_runs_nothing_of_the_users(recipe_text: str) -> None:
    recipe = _recipe(recipe_text, "a_users_nets:Net")
    assert "a_users_nets" not in sys.modules
    network = build_recipe_network(recipe, classes=5)
    assert network(torch.rand(2, 3, 8, 8)).shape == (2, 5)


def test_a_network_that_was_tried_is_as_it_was_built(recipe_text: str) -> None:
    network = build_recipe_network(_recipe(recipe_text, "a_users_nets:Net"), classes=5)
    assert all(module.training for module in network.modules())
    assert [p.requires_grad for p in network.parameters()] == [False] * 2 + [True] * 4
    norm = network.get_submodule("free")
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Maps", r"features: came \(2, 3, 32, 32\), wanted \(2, D\)"),
        ("OneTooMany", r"head\(features\): came \(2, 6\), wanted \(2, 5\)"),
        ("OtherCall", r"the call of the network differs from head\(features\(images\)\)"),
        ("NoCall", r"\[NoCall\] is missing the required \"forward\" function"),
    ],
)
def test_a_network_of_another_shape_is_refused(recipe_text: str, name: str, complaint: str) -> None:
    wanted = rf"network\.name: 'a_users_nets:{name}' on images \(2, 3, 32, 32\): .*{complaint}"
    with pytest.raises(RecipeError, match=wanted):
        build_recipe_network(_recipe(recipe_text, f"a_users_nets:{name}"), classes=5)


def test_images_too_small_for_a_network_are_refused(recipe_text: str) -> None:
    text = _text(recipe_text, "densenet-bc-100-12").replace("height = 32", "height = 3")
    recipe = parse_recipe(text, origin="tiny.toml")
    with pytest.raises(RecipeError, match=r"'densenet-bc-100-12' on images \(2, 3, 3, 32\): "):
        build_recipe_network(recipe, classes=5)
