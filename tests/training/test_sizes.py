"""Networks of other sizes than 32x32, all the way: fit, evaluate, export, judge any image."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from oodguard.models.bundle import open_bundle
from oodguard.service.cli import app as oodguard
from oodguard.training.cli.app import app as oodguard_train


def _run(app: object, *words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("short_suite")
@pytest.mark.parametrize(("size", "mirror"), [(64, False), (96, True)])
def test_the_whole_path_at_another_size(
    tmp_path: Path, recipe_text: str, size: int, mirror: bool
) -> None:
    text = recipe_text.replace("height = 32\nwidth = 32", f"height = {size}\nwidth = {size}")
    text = text.replace("width = 4", f"width = 4\nmirror = {str(mirror).lower()}")
    text = text.replace("epochs = 2", "epochs = 1").replace('"msp"', '"energy"')
    recipe, run, bundle = (tmp_path / name for name in ("sizes.toml", "run", "bundle"))
    recipe.write_text(text, encoding="utf-8")
    _run(oodguard_train, "fit", recipe, "--out", run)
    _run(oodguard_train, "evaluate", run)
    _run(oodguard_train, "export", run, "--out", bundle)

    manifest = open_bundle(bundle).manifest
    assert (manifest.input.height, manifest.input.width) == (size, size)
    assert ("mirror" in manifest.training.network) is mirror
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert manifest.training.network in card

    pictures = []
    for shape in ((120, 50), (size, size), (17, 31)):
        pictures.append(tmp_path / f"{shape[0]}.png")
        Image.radial_gradient("L").convert("RGB").resize(shape).save(pictures[-1])
    judged = json.loads(_run(oodguard, "predict", *pictures, "--bundle", bundle, "--json"))
    assert [set(verdict["scores"]) for verdict in judged["predictions"]] == [
        set(manifest.scores)
    ] * 3
