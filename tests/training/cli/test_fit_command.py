from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.models.errors import RecipeError
from oodguard.training.cli.app import app
from oodguard.training.cli.fit import calibration_warning, check_paths
from tests.training.recipes import RECIPE, parsed


def test_missing_paths_are_listed_by_key() -> None:
    text = RECIPE.replace("/outliers", "/outlier").replace("/textures", "/texture")
    text += "more = { parquet = 'no.parquet' }\n"
    with pytest.raises(RecipeError) as caught:
        check_paths(parsed(text))
    keys = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]]
    assert keys == ["outliers", "evaluation.outliers.textures", "evaluation.outliers.more"]


def test_existing_paths_pass_and_hub_data_sets_are_not_checked() -> None:
    check_paths(parsed(RECIPE + "svhn = { hub = 'ufldl-stanford/svhn' }\n"))


@pytest.mark.parametrize(("images", "warned"), [(58, True), (59, False)])
def test_warning_before_training_if_calibration_images_are_too_few(
    images: int, *, warned: bool
) -> None:
    text = RECIPE.replace("calibration = 60", f"calibration = {images}")
    warning = calibration_warning(parsed(text))
    assert (warning is not None) == warned
    if warning is not None:
        assert "inliers.calibration is 58, expected at least 59 for alpha 0.05 with" in warning
        assert "Increase inliers.calibration" in warning


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("/textures", "/texture", "evaluation.outliers.textures"),
        ("epochs = 2", "epochs = -1", "schedule.epochs"),
    ],
)
def test_fit_rejects_an_invalid_recipe_and_writes_nothing(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.replace(old, new), encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert key in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()
