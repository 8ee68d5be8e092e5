from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.models.errors import RecipeError
from oodguard.training.cli.app import app
from oodguard.training.cli.fit import calibration_warning, check_paths
from tests.training.recipes import parsed


def test_recipe_with_existing_paths_passes(recipe_text: str) -> None:
    check_paths(parsed(recipe_text))


def test_missing_paths_are_listed_by_key(recipe_text: str) -> None:
    text = recipe_text.replace("/outliers", "/outlier").replace("/textures", "/texture")
    with pytest.raises(RecipeError) as caught:
        check_paths(parsed(text))
    keys = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]]
    assert keys == ["outliers", "evaluation.outliers.textures"]


def test_missing_parquet_file_is_listed(recipe_text: str) -> None:
    text = f"{recipe_text}more = {{ parquet = 'no.parquet' }}\n"
    with pytest.raises(RecipeError, match=r"evaluation\.outliers\.more: no\.parquet"):
        check_paths(parsed(text))


def test_hub_data_sets_are_not_checked(recipe_text: str) -> None:
    text = recipe_text.partition("[evaluation.outliers]")[0]
    text += "[evaluation.outliers]\nsvhn = { hub = 'ufldl-stanford/svhn' }\n"
    check_paths(parsed(text))


@pytest.mark.parametrize(("images", "warned"), [(58, True), (59, False)])
def test_warning_before_training_if_calibration_images_are_too_few(
    recipe_text: str, images: int, *, warned: bool
) -> None:
    text = recipe_text.replace("calibration = 60", f"calibration = {images}")
    warning = calibration_warning(parsed(text))
    assert (warning is not None) == warned
    if warning is not None:
        assert "58 calibration images are too few for alpha 0.05 with delta 0.05" in warning


def test_fit_writes_nothing_if_a_path_is_missing(recipe_text: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(recipe_text.replace("/textures", "/texture"), encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "evaluation.outliers.textures" in result.stderr
    assert not (tmp_path / "run").exists()
