import tomllib
from pathlib import Path

import pytest

from models.errors import RecipeError
from training.recipe import parse_recipe, read_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid_and_named_as_its_file(path: Path) -> None:
    assert read_recipe(path).name == path.stem


def test_what_a_recipe_says_is_what_it_means(recipe_text: str) -> None:
    recipe = parse_recipe(recipe_text, origin="tiny.toml")
    assert recipe.attack is not None
    assert recipe.attack.epsilon_255 == 2
    assert recipe.inliers.name == "cifar10"
    assert recipe.outliers is not None
    assert recipe.outliers.weight == 0.5


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("epochs = 2", "epochs = 0", ["schedule.epochs", "greater than or equal to 1", "came 0"]),
        ("epochs = 2", "", ["schedule.epochs", "Field required"]),
        ("epochs = 2", "epochs = 2\nlr = 1", ["schedule.lr", "Extra inputs are not permitted"]),
        ('method = "aloe"', 'method = "oe"', ["method", "'standard' or 'aloe'", "came 'oe'"]),
        ('"resnet8"', '"vgg"', ["network", "came 'vgg'", "resnet14"]),
        ("epsilon_255 = 2", "epsilon_255 = 0.0", ["attack.epsilon_255", "greater than 0"]),
        ('"msp"', '"odin"', ["default_score", "came 'odin'", "energy"]),
        ("[outliers]\nfolder", "[outliers]\nhub = 'x'\nfolder", ["outliers", "exactly one of"]),
        ('method = "aloe"', 'method = "standard"', ["outliers", "takes no [outliers] table"]),
        ("seed = 3", "seed = three", ["tiny.toml is not TOML"]),
    ],
)
def test_an_error_names_the_key_and_what_was_wanted(
    recipe_text: str, old: str, new: str, wanted: list[str]
) -> None:
    assert old in recipe_text
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe_text.replace(old, new), origin="tiny.toml")
    for words in wanted:
        assert words in str(caught.value)


@pytest.mark.parametrize("table", ["attack", "outliers"])
def test_aloe_without_its_tables_is_refused(recipe_text: str, table: str) -> None:
    tables = tomllib.loads(recipe_text)
    assert table in tables
    kept = [part for part in recipe_text.split("\n\n") if not part.startswith(f"[{table}]")]
    with pytest.raises(RecipeError, match=rf"method 'aloe' needs a \[{table}\] table"):
        parse_recipe("\n\n".join(kept), origin="tiny.toml")


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml: cannot be read"):
        read_recipe(tmp_path / "none.toml")
