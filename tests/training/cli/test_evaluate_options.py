"""Options of `evaluate` that the target or the suite would ignore are rejected."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.command_line.exit_codes import ExitCode
from oodguard.training.cli.app import app
from oodguard.training.cli.sources import list_recipe
from oodguard.training.data.card import DataCard, check_unchanged, describe_data
from oodguard.training.evaluation.partial_results import only_evaluation
from tests.training.recipes import DATA, RECIPE, with_own_test_set
from tests.training.runs import save_run

BUNDLE = Path(__file__).parents[3] / "models" / "pretrained" / "cifar10-aloe"


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "other.toml").write_text(RECIPE, encoding="utf-8")
    run = save_run(tmp_path / "run").folder
    return {"RUN": str(run), "RECIPE": str(tmp_path / "other.toml"), "BUNDLE": str(BUNDLE)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("RUN --recipe RECIPE", "--recipe: .* is not a bundle, expected the folder of a bundle"),
        ("RUN --renew", "--renew: .* is not a bundle"),
        (
            "BUNDLE --renew --suite paper",
            "'paper', expected quick or standard or long or full with --ren",
        ),
        ("BUNDLE --renew --score msp", "--score is 'msp', expected 'abstain', the default score"),
        ("RUN --suite paper --twin RUN", "--twin: the suite 'paper' has no attack trials"),
    ],
)
def test_evaluate_rejects_options_without_effect(
    words: str, message: str, paths: dict[str, str]
) -> None:
    given = [paths.get(word, word) for word in words.split()]
    result = CliRunner().invoke(app, ["evaluate", *given])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert re.search(message, line)


def test_export_without_an_evaluation_is_refused_before_images_are_read(tmp_path: Path) -> None:
    text = RECIPE.replace("epochs = ", "epochs = 1 # ")
    run = save_run(tmp_path / "run", text.replace("/cifar10", "/missing")).folder
    words = ["export", str(run), "--out", str(tmp_path / "bundle")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "first, with --suite quick or standard or long or full. A report is deleted when training"
        " continues\n"
    )
    with only_evaluation(run / ".evaluation-quick.parts"):
        result = CliRunner().invoke(app, words)
    assert "has not ended: wait for its end" in result.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("short_suite")
def test_fit_and_evaluate_leave_out_evaluation_images_that_were_trained_on(tmp_path: Path) -> None:
    """One of 201 test images is an inlier; of two textures one is an inlier, one an outlier."""
    for name in ("textures", "outliers"):
        shutil.copytree(DATA / name, tmp_path / name)
    inliers, outliers, textures = (
        sorted(folder.rglob("*.png"))
        for folder in (DATA / "cifar10", tmp_path / "outliers", tmp_path / "textures")
    )
    text = with_own_test_set(RECIPE, tmp_path / "test")
    same = tmp_path / "test" / inliers[0].parent.name / "same.png"
    shutil.copy(inliers[0], same)
    shutil.copy(inliers[5], textures[0])
    shutil.copy(outliers[3], textures[1])
    textures[2].write_bytes(b"no image")
    (tmp_path / "textures" / "notes.txt").write_text("", encoding="utf-8")
    text = text.replace(f"{DATA}/outliers", f"{tmp_path}/outliers")
    text = text.replace(f'{DATA}/textures"', f'{tmp_path}/textures", skip_broken = true')
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    run = tmp_path / "run"
    fitted = CliRunner().invoke(app, ["fit", str(tmp_path / "tiny.toml"), "--out", str(run)])
    assert fitted.exit_code == 0, fitted.output
    warning = (
        "warning: evaluation.test: the evaluation leaves out 1 image: the pixels equal"
        f" those of images in [inliers] or [outliers] ({same})"
    )
    assert warning in fitted.output
    sources = json.loads((run / "data.json").read_text(encoding="utf-8"))["sources"]
    assert sources["evaluation.test"]["copies"]["names"] == [str(same)]
    assert sources["evaluation.outliers.textures"]["copies"]["images"] == 2
    reason = "the file is not an image of a format that can be read"
    assert sources["evaluation.outliers.textures"]["left_out"] == {reason: 1}
    assert sources["inliers"]["copies"] == {"images": 0, "names": [], "rows": []}

    done = CliRunner().invoke(app, ["evaluate", str(run)])
    assert done.exit_code in {0, ExitCode.REFUSED}, done.output
    assert warning in done.output
    report = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert report["accuracy_images"] == 200
    assert report["results"][0]["conditions"][0]["sets"]["textures"]["images"] == 21
    notes = report["data"]["evaluation.outliers.textures"]
    assert (notes["left_out"], notes["skipped"]) == ({reason: 1}, {".txt": 1})
    assert notes["copies"]["images"] == 2
    for ending in ("md", "html"):
        page = (run / f"evaluation.{ending}").read_text(encoding="utf-8")
        assert f"1 image that cannot be read (1: {reason}); 2 images with the pixels of" in page
        assert "skipped files: 1 .txt" in page


def test_evaluate_rejects_evaluation_images_that_changed_since_fit(tmp_path: Path) -> None:
    shutil.copytree(DATA / "textures", tmp_path / "textures")
    text = RECIPE.replace(str(DATA / "textures"), str(tmp_path / "textures"))
    run = save_run(tmp_path / "run", text, outputs=10)
    card = describe_data(list_recipe(text))
    run.write_data(card)
    next((tmp_path / "textures").rglob("*.png")).unlink()
    result = CliRunner().invoke(app, ["evaluate", str(run.folder)])
    assert result.exit_code == 1
    assert "  evaluation.outliers.textures: " in result.stderr
    assert "textures contains 23 images (sha256 " in result.stderr
    assert "in which fit searched for images that the run was trained on" in result.stderr
    sources = {key: each for key, each in card.sources.items() if key != "evaluation.test"}
    older = DataCard(sources=sources)
    check_unchanged(older, {"evaluation.test": list_recipe(RECIPE)["evaluation.test"]})


@pytest.mark.slow
@pytest.mark.usefixtures("short_suite")
def test_evaluate_skips_broken_images_of_the_evaluation_only(tmp_path: Path) -> None:
    shutil.copytree(DATA / "textures", tmp_path / "textures")
    text = RECIPE.replace(str(DATA / "textures"), str(tmp_path / "textures"))
    run = str(save_run(tmp_path / "run", text, outputs=10).folder)
    next((tmp_path / "textures").rglob("*.png")).write_bytes(b"no image")
    refused = CliRunner().invoke(app, ["evaluate", run])
    assert "cannot read 1 of 24 images" in refused.stderr
    assert "leave them out with --skip-broken" in refused.stderr
    done = CliRunner().invoke(app, ["evaluate", run, "--skip-broken"])
    assert done.exit_code in {0, ExitCode.REFUSED}, done.output
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["results"][0]["conditions"][0]["sets"]["textures"]["images"] == 23


def test_evaluate_rejects_a_twin_whose_inliers_changed_since_fit(tmp_path: Path) -> None:
    shutil.copytree(DATA / "cifar10", tmp_path / "photos")
    text = RECIPE.replace(str(DATA / "cifar10"), str(tmp_path / "photos"))
    twin = save_run(tmp_path / "twin", text, outputs=10)
    twin.write_data(describe_data(list_recipe(text)))
    run = save_run(tmp_path / "run", outputs=10).folder
    next((tmp_path / "photos").rglob("*.png")).unlink()
    result = CliRunner().invoke(app, ["evaluate", str(run), "--twin", str(twin.folder)])
    assert result.exit_code == 1
    assert "photos contains 199 images (sha256 " in result.stderr


def test_evaluate_without_the_data_of_the_recipe_names_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["evaluate", str(BUNDLE)])
    assert result.exit_code == 1
    assert "data/cifar10_test.parquet: cannot read the data" in result.stderr
    assert "or name other data with --recipe" in result.stderr
