from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.models.errors import RecipeError
from oodguard.training.cli.fit import check_places, note_on_calibration
from oodguard.training.cli.main import app
from oodguard.training.config.recipe import parse_recipe


def test_a_recipe_whose_places_are_all_there_passes(recipe_text: str) -> None:
    check_places(parse_recipe(recipe_text, origin="tiny.toml"))


def test_every_place_that_is_missing_is_named_by_its_key(recipe_text: str) -> None:
    text = recipe_text.replace("/outliers", "/outlier").replace("/textures", "/texture")
    with pytest.raises(RecipeError) as refused:
        check_places(parse_recipe(text, origin="tiny.toml"))
    named = [line.split(":")[0].strip() for line in str(refused.value).splitlines()[1:]]
    assert named == ["outliers", "evaluation.outliers.textures"]


def test_a_missing_parquet_file_is_named(recipe_text: str) -> None:
    text = f"{recipe_text}more = {{ parquet = 'no.parquet' }}\n"
    with pytest.raises(RecipeError, match=r"evaluation\.outliers\.more: no\.parquet"):
        check_places(parse_recipe(text, origin="tiny.toml"))


def test_what_is_on_the_hub_is_not_looked_for(recipe_text: str) -> None:
    text = recipe_text.partition("[evaluation.outliers]")[0]
    text += "[evaluation.outliers]\nsvhn = { hub = 'ufldl-stanford/svhn' }\n"
    check_places(parse_recipe(text, origin="tiny.toml"))


@pytest.mark.parametrize(("images", "noted"), [(58, True), (59, False)])
def test_too_few_calibration_images_are_told_before_training(
    recipe_text: str, images: int, *, noted: bool
) -> None:
    text = recipe_text.replace("calibration = 60", f"calibration = {images}")
    note = note_on_calibration(parse_recipe(text, origin="tiny.toml"))
    assert (note is not None) == noted
    if note is not None:
        assert "58 calibration images are too few for alpha 0.05 with delta 0.05" in note


def test_fit_writes_nothing_for_a_recipe_that_names_what_is_not_there(
    recipe_text: str, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(recipe_text.replace("/textures", "/texture"), encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "evaluation.outliers.textures" in result.stderr
    assert not (tmp_path / "run").exists()
