import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from oodguard.models.errors import RecipeError
from oodguard.training.config.evaluation_sources import evaluation_sources
from oodguard.training.config.recipe import (
    Recipe,
    parse_evaluation_recipe,
    parse_recipe,
    read_recipe,
)
from oodguard.training.config.recipe_errors import describe_recipe_error
from oodguard.training.config.recipe_sources import recipe_sources
from tests.training.recipes import RECIPE, parsed, with_network, without_tables

RECIPES = sorted((Path(__file__).parents[3] / "recipes").rglob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipe_is_valid_and_has_the_name_of_its_file(path: Path) -> None:
    assert read_recipe(path).name == path.stem


def test_recipe_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8-sig")
    assert read_recipe(tmp_path / "tiny.toml") == parsed(RECIPE)


def test_recipe_values_are_parsed() -> None:
    recipe = parsed(RECIPE)
    assert recipe.attack is not None
    assert recipe.attack.epsilon == 2 / 255
    assert recipe.attack.outlier_epsilon is None
    assert recipe.inliers.name == "cifar10"
    assert recipe.outliers is not None
    assert recipe.outliers.weight == 0.5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 2", "epochs = 0", "schedule.epochs is 0, expected at least 1$"),
        (
            "epochs = 2",
            "epochs = 2\npeak_rate = inf",
            "schedule.peak_rate is inf, expected a finite number$",
        ),
        (
            "[outliers]",
            "[outliers]\nper_inlier = 0.001",
            "outliers.per_inlier is 0.001, expected at least one outlier in a batch of 30",
        ),
        (
            "epochs = 2",
            "",
            "schedule.epochs is missing, expected a whole number; add `epochs = ...` to"
            r" \[schedule\]",
        ),
        ("seed = 3", "", "seed is missing, expected a whole number; .* above the first table"),
        ("[schedule]", "[attack.schedule]", r"the table \[schedule\] is missing; add it"),
        (
            "epochs = 2",
            "epochs = 2\nlr = 1",
            "schedule.lr is an unknown key, expected one of epochs, batch_size, .*precision$",
        ),
        ("epochs = 2", "epochs = 2\nepoch = 1", r"schedule.epoch .*; did you mean epochs\?$"),
        (
            "[attack]",
            "[atack]",
            r"\[atack\] is an unknown table, expected one of .*\[network\], .*; did you mean"
            r" \[attack\]\?",
        ),
        (
            "textures = { folder",
            "textures = { foldr",
            r"outliers.textures.foldr is an unknown key, .*; did you mean folder\?",
        ),
        ("textures = {", '"My set" = {', "a key of evaluation.outliers is 'My set', expected"),
        ('"tiny"', '"My guard"', "name is 'My guard', expected 1 to 64 lower-case letters"),
        ("seed = 3", "seed = 3\nenergy = 3", "energy is 3, expected a table"),
        ("seed = 3", 'seed = 3\nversion = ""', "version is '', expected 1 to 32 "),
        ("seed = 3", 'seed = 3\nversion = "a\\nb"', "version is .*, expected 1 to 32 "),
        ('"aloe"', '"mixup"', "method is 'mixup', expected one of .*'aloe', 'aloe-abstain'"),
        ('"aloe"', '"oe"', r"attack: method 'oe' does not use the \[attack\] table; remove it"),
        ('"aloe"', '"standard"', r"outliers: method 'standard' does not use the \[outliers\]"),
        ("[attack]", "[trades]\n[attack]", "trades: method 'aloe' does not use"),
        ("_255 = 2", '_255 = 2\nkind = "fgsm"\nsteps = 2', "attack: steps is 2, expected 1"),
        ("_255 = 2", "_255 = 2\nramp = 1.5", "attack.ramp is 1.5, expected at most 1"),
        ("_255 = 2", "_255 = 0.0", "attack.epsilon_255 is 0.0, expected a number greater than 0"),
        ("[attack]", "[mining]\nquantile = 0.8\n[attack]", "mining: .*expected at most 0.75"),
        ("[attack]", "[energy]\ninlier_margin = 0\n[attack]", "energy: .* less than .* -5"),
        ('"resnet8"', '"vgg"', "network: .*'vgg'.*resnet14"),
        ("width = 4", "", "network: .*'resnet8'.* 32"),
        ('"resnet8"', '"wrn-40-2"', "network: .*4.*'wrn-40-2'"),
        ('"msp"', '"odin"', "default_score: .*'odin'.*energy"),
        ('"msp"', '"abstain"', "default_score: .*reject class"),
        ("seed = 3", 'seed = 3\nscores = ["gen", "odin"]', "scores: .*'odin'.*'gen'"),
        ("seed = 3", 'seed = 3\nscores = ["gen", "gen"]', "scores is .* expected no duplicates"),
        ("seed = 3", "seed = 3\n[score_options]\ngen_gamma = 2", "score_options.gen_gamma"),
        ("[outliers]", "[outliers]\nhub = 'x'", "outliers: received hub, folder .* exactly 1"),
        ("[outliers]", "[outliers]\nsynthetic = 1", "received folder of .*, expected exactly 0"),
        ("[inliers]", "[inliers]\nleave_out = [1]\nonly = [2]", "both leave_out and only"),
        ("seed = 3", "seed = three", "tiny.toml: invalid TOML"),
        ("epochs = 2", "epochs = 2\nfreeze = 3", "freeze is 3, expected at most epochs, 2"),
        ("[inliers]", "[inliers]\nonly = [1.5]", r"inliers.only\[0\] is 1.5, expected a name or a"),
        ("[inliers]\nfolder", "[inliers]\ntable = 3\nx", "inliers.table is 3, expected a path in"),
        ("[inliers]\nfolder", "[inliers]\nfolder = [1]\nx", r"inliers.folder is \[1\], expected a"),
        ("width = 4", "width = 4\nprefix = 'a.'", "prefix is 'a.', expected none without weights"),
    ],
)
def test_recipe_error_names_the_key_and_the_expected_value(
    old: str, new: str, message: str
) -> None:
    assert old in RECIPE
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        parsed(RECIPE.replace(old, new))


@pytest.mark.parametrize(
    ("network", "schedule", "expected"),
    [
        ("wrn-40-2", "", ("sgd", 0.2, 5e-4)),
        ("own/vit.py:Net", "", ("sgd", 0.2, 5e-4)),
        ("timm:vit_tiny_patch16_224", "", ("adamw", 1e-3, 0.05)),
        ('timm:test_vit"\nweights = "file.safetensors', "", ("adamw", 2e-4, 0.05)),
        ('timm:resnet18"\nweights = "file.safetensors', "", ("sgd", 0.01, 5e-4)),
        ('own/net.py:Net"\nweights = "f.safetensors', 'optimizer = "adamw"', ("adamw", 2e-4, 0.05)),
        ("timm:swin_t", "peak_rate = 0.05\nweight_decay = 0", ("adamw", 0.05, 0.0)),
    ],
)
def test_schedule_defaults_fit_the_kind_of_network(
    network: str, schedule: str, expected: tuple[str, float, float]
) -> None:
    text = with_network(RECIPE, network).replace("epochs = 2", f"epochs = 2\n{schedule}")
    found = parsed(text).schedule
    assert (found.optimizer, found.peak_rate, found.weight_decay) == expected


@pytest.mark.parametrize("table", ["attack", "outliers"])
def test_aloe_recipe_requires_its_tables(table: str) -> None:
    text = without_tables(RECIPE, table)
    assert text != RECIPE
    with pytest.raises(RecipeError, match=rf"method 'aloe' requires the \[{table}\] table"):
        parsed(text)


def test_missing_recipe_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml: cannot read the recipe"):
        read_recipe(tmp_path / "none.toml")


def _with_classes(*, inliers: str, test: str = "", row: str = "textures") -> str:
    text = RECIPE.replace("[inliers]\n", f"[inliers]\n{inliers}\n")
    text = text.replace("[evaluation.test]\n", f"[evaluation.test]\n{test}\n")
    return text.replace("textures = ", f"{row} = ")


def test_left_out_classes_are_the_first_evaluation_set() -> None:
    text = _with_classes(inliers='leave_out = ["cat", 9]')
    test, outliers = evaluation_sources(parsed(text))
    assert (test.leave_out, test.only) == (("cat", 9), ())
    assert list(outliers) == ["unknown_classes", "textures"]
    unknown = outliers["unknown_classes"]
    assert (unknown.leave_out, unknown.only) == ((), ("cat", 9))
    assert unknown.folder == test.folder


def test_selecting_classes_makes_all_others_unknown() -> None:
    text = _with_classes(inliers='only = ["cat", "dog"]')
    test, outliers = evaluation_sources(parsed(text))
    assert test.only == outliers["unknown_classes"].leave_out == ("cat", "dog")


def test_evaluation_sources_are_those_of_the_recipe_without_left_out_classes() -> None:
    recipe = parsed(RECIPE)
    assert evaluation_sources(recipe) == (recipe.evaluation.test, recipe.evaluation.outliers)


def test_evaluation_of_a_bundle_needs_no_other_table_than_evaluation() -> None:
    alone = "[evaluation" + RECIPE.partition("[evaluation")[2]
    found = parse_evaluation_recipe(alone, origin="sets.toml")
    assert evaluation_sources(found) == evaluation_sources(parsed(RECIPE))
    assert parse_evaluation_recipe(RECIPE, origin="x.toml") == parsed(RECIPE)
    with pytest.raises(RecipeError, match=r"sets\.toml:\n  .*outliers"):
        parse_evaluation_recipe(alone.partition("[evaluation.outliers")[0], origin="sets.toml")
    with pytest.raises(RecipeError, match=r"the table \[network\] is missing"):
        parse_evaluation_recipe("seed = 1\n" + alone, origin="sets.toml")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"test": "leave_out = [2]"}, "uses the classes that [inliers]"),
        ({"row": "unknown_classes"}, "rename the set"),
    ],
)
def test_contradictory_class_selection_is_an_error(more: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        parsed(_with_classes(inliers="leave_out = [1]", **more))


def test_mirror_consistency_without_mirrored_inliers_is_an_error() -> None:
    text = RECIPE.replace("epochs = 2", "epochs = 2\nmirror_consistency = 4")
    assert parsed(text).schedule.mirror_consistency == 4
    with pytest.raises(RecipeError, match=r"mirror_consistency is 4, expected 0 with inliers"):
        parsed(text.replace("validation = 20", "validation = 20\nmirror = false"))


def test_synthetic_outliers_need_no_source() -> None:
    text = 'outliers = "synthetic"\n' + without_tables(RECIPE, "outliers")
    outliers = parsed(text).outliers
    assert outliers is not None
    assert outliers.synthetic == 1
    assert outliers.name == "synthetic"


@pytest.mark.parametrize(
    ("method", "table", "outliers"),
    [("aloe", "", 45), ("atom", "", 180), ("atom", "[mining]\npool = 2\n\n", 90)],
)
def test_batch_contains_the_whole_pool_if_outliers_are_mined(
    method: str, table: str, outliers: int
) -> None:
    text = RECIPE.replace("blur = 0.5", "blur = 0.5\nper_inlier = 1.5")
    text = text.replace('"aloe"', f'"{method}"').replace("[attack]", f"{table}[attack]")
    assert parsed(text).outliers_per_batch == outliers


@pytest.mark.parametrize("text", ["a = " + "[" * 3000 + "]" * 3000, "a = " + "1" * 5000])
def test_toml_that_exceeds_limits_of_the_parser_is_an_error(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^the recipe: invalid TOML: "):
        recipe_sources(text)
    with pytest.raises(RecipeError, match=r"^x\.toml: invalid TOML: "):
        parse_recipe(text, origin="x.toml")


def _numbers(model: type[BaseModel], table: str = "") -> Iterator[str]:
    """Yield the keys of a recipe that hold a number, with their tables."""
    for key, field in model.model_fields.items():
        kinds = str(field.annotation)
        parts = [field.annotation, *get_args(field.annotation)]
        models = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        for inner in models:
            name = "textures." if get_origin(field.annotation) is dict else ""
            yield from _numbers(inner, f"{table}{key}.{name}")
        is_number = re.search(r"\b(int|float)\b", kinds) and "tuple" not in kinds
        if not models and is_number:
            yield f"{table}{key}"


@pytest.mark.parametrize("key", sorted(_numbers(Recipe)))
def test_recipe_rejects_booleans_as_numbers(key: str) -> None:
    *path, last = key.split(".")
    tables: dict[str, Any] = tomllib.loads(RECIPE)
    table = tables
    for name in path:
        table = table.setdefault(name, {})
    table[last] = True
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(tables)
    found = {describe_recipe_error(error, Recipe) for error in caught.value.errors()}
    assert {f"{key} is true, expected a {kind}number" for kind in ("whole ", "")} & found


def test_recipe_describes_a_boolean_in_place_of_a_number() -> None:
    with pytest.raises(
        RecipeError, match=r"  inliers\.validation is true, expected a whole number"
    ):
        parsed(RECIPE.replace("validation = 20", "validation = true"))
    with pytest.raises(RecipeError, match=r"  schedule\.momentum is false, expected a number"):
        parsed(RECIPE.replace("epochs = 2", "epochs = 2\nmomentum = false"))
