"""Fit, evaluate, export and predict, for other input sizes and with classes left out."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from oodguard.models.bundle import open_bundle
from oodguard.service.cli import app as oodguard
from oodguard.training.cli.app import app as oodguard_train
from tests.training.recipes import RECIPE, with_own_test_set


def _run(app: object, *words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result.stdout


def _train(folder: Path, text: str) -> tuple[Path, Path]:
    """Fit, evaluate and export a recipe; return the folders of the run and of the bundle."""
    recipe, run, bundle = (folder / name for name in ("recipe.toml", "run", "bundle"))
    text = with_own_test_set(text, folder / "test")
    recipe.write_text(text.replace('"msp"', '"energy"'), encoding="utf-8")
    _run(oodguard_train, "fit", recipe, "--out", run)
    _run(oodguard_train, "evaluate", run)
    _run(oodguard_train, "export", run, "--out", bundle)
    return run, bundle


@pytest.mark.slow
@pytest.mark.usefixtures("short_suite")
@pytest.mark.parametrize(("size", "mirror"), [(64, False), (96, True)])
def test_network_of_another_input_size_is_trained_exported_and_predicts(
    tmp_path: Path, size: int, mirror: bool
) -> None:
    text = RECIPE.replace("height = 32\nwidth = 32", f"height = {size}\nwidth = {size}")
    text = text.replace("width = 4", f"width = 4\nmirror = {str(mirror).lower()}")
    _, bundle = _train(tmp_path, text.replace("epochs = 2", "epochs = 1"))

    manifest = open_bundle(bundle).manifest
    assert (manifest.input.height, manifest.input.width) == (size, size)
    assert ("mirror" in manifest.training.network) is mirror
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert manifest.training.network in card

    images = []
    for shape in ((120, 50), (size, size), (17, 31)):
        images.append(tmp_path / f"{shape[0]}.png")
        Image.radial_gradient("L").convert("RGB").resize(shape).save(images[-1])
    output = json.loads(_run(oodguard, "predict", *images, "--bundle", bundle, "--json"))
    scores = [set(verdict["scores"]) for verdict in output["predictions"]]
    assert scores == [set(manifest.scores)] * 3


@pytest.mark.slow
@pytest.mark.usefixtures("short_suite")
def test_left_out_classes_are_an_evaluation_set(tmp_path: Path) -> None:
    text = RECIPE.replace("[inliers]\n", '[inliers]\nleave_out = ["cat", "ship"]\n')
    run, out = _train(tmp_path, text)
    report = json.loads((run / "evaluation.json").read_bytes())
    conditions = report["results"][0]["conditions"]
    assert [each["sets"]["unknown_classes"]["images"] for each in conditions] == [40, 40]
    bundle = open_bundle(out)
    assert {"cat", "ship"}.isdisjoint(bundle.manifest.classes)
    assert len(bundle.manifest.classes) == 8
    assert bundle.manifest.training.inliers.images == 80
    assert "| unknown_classes |" in (out / "README.md").read_text(encoding="utf-8")
