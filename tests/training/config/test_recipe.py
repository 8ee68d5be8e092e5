import tomllib
from pathlib import Path

import pytest

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import evaluation_sources, parse_recipe, read_recipe

RECIPES = sorted((Path(__file__).parents[3] / "recipes").rglob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipe_is_valid_and_has_the_name_of_its_file(path: Path) -> None:
    assert read_recipe(path).name == path.stem


def test_recipe_values_are_parsed(recipe_text: str) -> None:
    recipe = parse_recipe(recipe_text, origin="tiny.toml")
    assert recipe.attack is not None
    assert recipe.attack.epsilon == 2 / 255
    assert recipe.attack.outlier_epsilon is None
    assert recipe.inliers.name == "cifar10"
    assert recipe.outliers is not None
    assert recipe.outliers.weight == 0.5


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (
            "epochs = 2",
            "epochs = 0",
            ["schedule.epochs", "greater than or equal to 1", "received 0"],
        ),
        ("epochs = 2", "", ["schedule.epochs", "Field required"]),
        ("epochs = 2", "epochs = 2\nlr = 1", ["schedule.lr", "Extra inputs are not permitted"]),
        ('method = "aloe"', 'method = "mixup"', ["method is 'mixup'", "'aloe', 'aloe-abstain'"]),
        ('method = "aloe"', 'method = "oe"', ["attack", "'oe' does not use the [attack] table"]),
        (
            "epsilon_255 = 2",
            'epsilon_255 = 2\nkind = "fgsm"\nsteps = 2',
            ["attack", "steps is 2, expected 1"],
        ),
        (
            "[attack]",
            "[trades]\nbeta = 3\n[attack]",
            ["trades", "'aloe' does not use the [trades]"],
        ),
        ("[attack]", "[mining]\nquantile = 0.8\n[attack]", ["mining", "expected at most 0.75"]),
        ("[attack]", "[energy]\ninlier_margin = 0\n[attack]", ["energy", "less than", "-5"]),
        (
            "epsilon_255 = 2",
            "epsilon_255 = 2\nramp = 1.5",
            ["attack.ramp", "equal to 1", "received 1.5"],
        ),
        ('"resnet8"', '"vgg"', ["network", "'vgg'", "resnet14"]),
        ("width = 4", "", ["network", "'resnet8'", "32"]),
        ('"resnet8"', '"wrn-40-2"', ["network", "'wrn-40-2'", "4"]),
        ("epsilon_255 = 2", "epsilon_255 = 0.0", ["attack.epsilon_255", "greater than 0"]),
        ('"msp"', '"odin"', ["default_score", "'odin'", "energy"]),
        ('"msp"', '"abstain"', ["default_score", "reject class"]),
        ("seed = 3", 'seed = 3\nscores = ["gen", "odin"]', ["scores", "'odin'", "'gen'"]),
        ("seed = 3", 'seed = 3\nscores = ["gen", "gen"]', ["scores", "expected no duplicates"]),
        ("seed = 3", "seed = 3\n[score_options]\ngen_gamma = 2", ["score_options.gen_gamma"]),
        (
            "[outliers]\nfolder",
            "[outliers]\nhub = 'x'\nfolder",
            ["outliers", "received hub, folder", "exactly 1"],
        ),
        (
            'method = "aloe"',
            'method = "standard"',
            ["outliers", "does not use the [outliers] table"],
        ),
        ("seed = 3", "seed = three", ["tiny.toml: invalid TOML"]),
    ],
)
def test_recipe_error_names_the_key_and_the_expected_value(
    recipe_text: str, old: str, new: str, messages: list[str]
) -> None:
    assert old in recipe_text
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe_text.replace(old, new), origin="tiny.toml")
    for message in messages:
        assert message in str(caught.value)


@pytest.mark.parametrize("table", ["attack", "outliers"])
def test_aloe_recipe_requires_its_tables(recipe_text: str, table: str) -> None:
    tables = tomllib.loads(recipe_text)
    assert table in tables
    kept = [part for part in recipe_text.split("\n\n") if not part.startswith(f"[{table}]")]
    with pytest.raises(RecipeError, match=rf"method 'aloe' requires the \[{table}\] table"):
        parse_recipe("\n\n".join(kept), origin="tiny.toml")


def _with_classes(text: str, *, inliers: str, test: str = "", row: str = "textures") -> str:
    text = text.replace("[inliers]\n", f"[inliers]\n{inliers}\n")
    text = text.replace("[evaluation.test]\n", f"[evaluation.test]\n{test}\n")
    return text.replace("textures = ", f"{row} = ")


def test_left_out_classes_are_the_first_evaluation_set(recipe_text: str) -> None:
    text = _with_classes(recipe_text, inliers='leave_out = ["cat", 9]')
    test, outliers = evaluation_sources(parse_recipe(text, origin="tiny.toml"))
    assert (test.leave_out, test.only) == (("cat", 9), ())
    assert list(outliers) == ["unknown_classes", "textures"]
    unknown = outliers["unknown_classes"]
    assert (unknown.leave_out, unknown.only) == ((), ("cat", 9))
    assert unknown.folder == test.folder


def test_selecting_classes_makes_all_others_unknown(recipe_text: str) -> None:
    text = _with_classes(recipe_text, inliers='only = ["cat", "dog"]')
    test, outliers = evaluation_sources(parse_recipe(text, origin="tiny.toml"))
    assert test.only == outliers["unknown_classes"].leave_out == ("cat", "dog")


def test_evaluation_sources_are_those_of_the_recipe_if_no_class_is_left_out(
    recipe_text: str,
) -> None:
    recipe = parse_recipe(recipe_text, origin="tiny.toml")
    test, outliers = evaluation_sources(recipe)
    assert test == recipe.evaluation.test
    assert outliers == recipe.evaluation.outliers


@pytest.mark.parametrize(
    ("inliers", "more", "message"),
    [
        ("leave_out = [1]\nonly = [2]", {}, "received both leave_out and only"),
        (
            "leave_out = [1]",
            {"test": "leave_out = [2]"},
            r"uses the classes that \[inliers\] selects",
        ),
        ("leave_out = [1]", {"row": "unknown_classes"}, "rename the set"),
    ],
)
def test_contradictory_class_selection_is_an_error(
    recipe_text: str, inliers: str, more: dict[str, str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(_with_classes(recipe_text, inliers=inliers, **more), origin="tiny.toml")


def test_missing_recipe_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml: cannot read the recipe"):
        read_recipe(tmp_path / "none.toml")


def test_synthetic_outliers_need_no_source(recipe_text: str) -> None:
    kept = [part for part in recipe_text.split("\n\n") if not part.startswith("[outliers]")]
    text = 'outliers = "synthetic"\n' + "\n\n".join(kept)
    outliers = parse_recipe(text, origin="tiny.toml").outliers
    assert outliers is not None
    assert outliers.synthetic == 1
    assert outliers.name == "synthetic"


def test_synthetic_outliers_with_a_source_are_an_error(recipe_text: str) -> None:
    text = recipe_text.replace("[outliers]\n", "[outliers]\nsynthetic = 1.0\n")
    with pytest.raises(
        RecipeError, match="received folder of hub, folder and parquet, expected exactly 0"
    ):
        parse_recipe(text, origin="tiny.toml")


@pytest.mark.parametrize(
    ("method", "table", "outliers"),
    [("aloe", "", 45), ("atom", "", 180), ("atom", "[mining]\npool = 2\n\n", 90)],
)
def test_batch_contains_the_whole_pool_if_outliers_are_mined(
    recipe_text: str, method: str, table: str, outliers: int
) -> None:
    text = recipe_text.replace("blur = 0.5", "blur = 0.5\nper_inlier = 1.5")
    text = text.replace('"aloe"', f'"{method}"').replace("[attack]", f"{table}[attack]")
    assert parse_recipe(text, origin="tiny.toml").outliers_per_batch == outliers
