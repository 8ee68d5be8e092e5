"""Runs whose images or recipe were changed after training."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.models.errors import RecipeError
from oodguard.training.cli.app import app
from oodguard.training.cli.sources import check_run_data, list_recipe
from oodguard.training.config.recipe_sources import training_settings
from oodguard.training.data.card import describe_data
from tests.training.recipes import DATA, RECIPE
from tests.training.runs import save_run


@pytest.fixture
def run_of_changed_images(tmp_path: Path) -> Path:
    """Return a run and its recipe; an inlier was deleted after `fit`."""
    shutil.copytree(DATA / "cifar10", tmp_path / "photos")
    text = RECIPE.replace(str(DATA / "cifar10"), str(tmp_path / "photos"))
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    run = save_run(tmp_path / "run", text, outputs=10)
    run.write_data(describe_data(list_recipe(text)))
    next((tmp_path / "photos").rglob("*.png")).unlink()
    return run.folder


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "tiny.toml", "--out", "run", "--resume"),
        ("evaluate", "run"),
        ("export", "run", "--out", "bundle"),
    ],
)
def test_commands_reject_inliers_that_changed_since_fit(
    run_of_changed_images: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_of_changed_images.parent)
    # As if the run were evaluated, which export checks first.
    monkeypatch.setattr("oodguard.training.cli.export._check_evaluation", lambda _: None)
    card = (run_of_changed_images / "data.json").read_bytes()
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 1
    assert "photos contains 199 images (sha256 " in result.stderr
    assert ", expected 200 images (sha256 " in result.stderr
    assert (run_of_changed_images / "data.json").read_bytes() == card


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ("seed = 3", "seed = 4", True),
        ("calibration = 60", "calibration = 61", True),
        (f'folder = "{DATA}/cifar10"', f'folder = "{DATA}/./cifar10"', False),
        ('name = "', 'version = "7"\nname = "', False),
    ],
)
def test_settings_of_a_run_that_split_its_images_cannot_be_edited(
    tmp_path: Path, old: str, new: str, *, refused: bool
) -> None:
    run = save_run(tmp_path / "run", RECIPE, outputs=10)
    card = describe_data(list_recipe(RECIPE))
    run.write_data(card.model_copy(update={"settings": training_settings(RECIPE)}))
    assert old in RECIPE
    edited = RECIPE.replace(old, new, 1)
    (run.folder / "recipe.toml").write_text(edited)
    listings = list_recipe(edited)
    if refused:
        with pytest.raises(RecipeError, match="the recipe was changed after training"):
            check_run_data(run.folder / "data.json", edited, listings, "inliers")
    else:
        check_run_data(run.folder / "data.json", edited, listings, "inliers")


def test_settings_of_a_recipe_without_a_teacher_have_the_hash_of_earlier_commits() -> None:
    # Computed before recipes had the table: data.json of a run from then contains it.
    before = "6d3a5ab58a8647a05bdf4da1358d18e468aa01942144e031cb9839d7997314a1"
    assert training_settings(RECIPE) == before
    taught = RECIPE + '\n[teacher]\nweights = "runs/teacher"\n'
    assert training_settings(taught) != before
    assert training_settings(taught) == training_settings(taught.replace("runs/", "elsewhere/"))
    assert training_settings(taught) != training_settings(taught + "share = 0.4\n")
