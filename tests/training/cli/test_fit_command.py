import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.models.errors import RecipeError
from oodguard.training.cli.app import app
from oodguard.training.cli.sources import list_recipe
from oodguard.training.cli.train import calibration_warning
from tests.training.recipes import DATA, RECIPE, parsed


def test_missing_paths_are_listed_by_key() -> None:
    text = RECIPE.replace("/outliers", "/outlier").replace("/textures", "/texture")
    text += "more = { parquet = 'no.parquet' }\n"
    with pytest.raises(RecipeError) as caught:
        list_recipe(text)
    keys = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]]
    assert keys == ["outliers", "evaluation.outliers.textures", "evaluation.outliers.more"]


def test_fit_prints_every_source_before_it_trains(capsys: pytest.CaptureFixture[str]) -> None:
    listings = list_recipe(RECIPE)
    assert list(listings) == [
        "inliers",
        "outliers",
        "evaluation.test",
        "evaluation.outliers.textures",
    ]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"inliers: {DATA}/cifar10: 200 images of 10 classes, 20 per class"
    assert lines[3] == f"evaluation.outliers.textures: {DATA}/textures: 24 images"


def test_fit_reports_a_wrong_path_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.replace("/textures", "/texture"), encoding="utf-8")
    program = (
        "import sys; sys.modules['torch'] = sys.modules['datasets'] = None;"
        f"sys.argv = ['oodguard-train', 'fit', {str(path)!r}];"
        "from oodguard.training.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3] / "src",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "evaluation.outliers.textures: " in done.stderr
    assert "/texture: cannot read the data: the path does not exist" in done.stderr


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


def test_fit_leaves_no_folder_if_too_many_images_are_held_out(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.replace("validation = 20", "validation = 141"), encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "validation + calibration" in result.stderr
    assert not (tmp_path / "run").exists()


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
