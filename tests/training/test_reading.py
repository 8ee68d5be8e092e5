"""Which outliers are trained on, and which are watched."""

from pathlib import Path

import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import parse_recipe
from oodguard.training.fit.fit import read_data
from oodguard.training.fit.trainer import Trainer

DATA = Path(__file__).parents[1] / "data"
POOL = len(list((DATA / "outliers").rglob("*.png")))


def _warn(message: str) -> None:
    raise AssertionError(message)


def test_held_out_outliers_are_the_last_of_the_pool_and_are_watched(recipe_text: str) -> None:
    whole = read_data(parse_recipe(recipe_text, origin="tiny.toml"), _warn)
    recipe = parse_recipe(recipe_text.replace("blur", "validation = 7\nblur"), origin="tiny.toml")
    parted = read_data(recipe, _warn)
    assert whole.outliers is not None
    assert whole.held_out is None
    assert parted.outliers is not None
    assert parted.held_out is not None
    assert torch.equal(parted.outliers.images, whole.outliers.images[:-7])
    assert torch.equal(parted.held_out.images, whole.outliers.images[-7:])
    watched = Trainer(recipe, parted).watch.outliers
    assert watched is not None
    assert torch.equal((watched * 255).round(), _pixels(whole.outliers.images[-7:]))


def test_without_any_the_first_of_the_pool_are_watched(recipe_text: str) -> None:
    recipe = parse_recipe(recipe_text, origin="tiny.toml")
    data = read_data(recipe, _warn)
    assert data.outliers is not None
    watched = Trainer(recipe, data).watch.outliers
    assert watched is not None
    assert torch.equal((watched * 255).round(), _pixels(data.outliers.images[:500]))


def _pixels(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 3, 1, 2).float()


def test_more_held_out_outliers_than_half_are_refused(recipe_text: str) -> None:
    text = recipe_text.replace("blur", f"validation = {POOL}\nblur")
    with pytest.raises(RecipeError, match=rf"outliers\.validation: {POOL} were to be held out"):
        read_data(parse_recipe(text, origin="tiny.toml"), _warn)


def test_none_are_held_out_where_all_are_synthetic(recipe_text: str) -> None:
    text = recipe_text.replace(f'folder = "{DATA / "outliers"}"', "synthetic = 1.0\nvalidation = 7")
    with pytest.raises(RecipeError, match="none can be held out where all are synthetic"):
        parse_recipe(text, origin="tiny.toml")
