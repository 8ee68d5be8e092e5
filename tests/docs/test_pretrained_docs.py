"""The commands of docs/pretrained.md on small networks and few images."""

import shlex
from pathlib import Path

import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

from oodguard.models.bundle import open_bundle
from oodguard.models.networks.timm_network import import_timm
from oodguard.training.cli.app import app
from oodguard.training.config.recipe import parse_recipe
from oodguard.training.config.schedule import schedule_defaults
from oodguard.training.config.suites import SUITES, SuiteAttack, SuiteTrials
from oodguard.training.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pretrained.md").read_text(encoding="utf-8")
RECIPE = PAGE.partition("```toml\n")[2].partition("```")[0]
SMALLER = {
    "height = 224\nwidth = 224": "height = 32\nwidth = 32",
    "validation = 200": "validation = 10",
    "calibration = 1000": "calibration = 100",
    "epochs = 15": "epochs = 3",
    "batch_size = 64": "batch_size = 30",
}
SHORT = SUITES["quick"].model_copy(
    update={
        "name": "standard",
        "budgets_255": (2.0,),
        "test_images": 20,
        "outlier_images": 10,
        "ascent": SuiteAttack(kind="apgd", steps=1, restarts=1),
        "trials": SuiteTrials(),
    }
)


def test_pretrained_page_recipe_is_valid() -> None:
    schedule = parse_recipe(RECIPE, origin="docs/pretrained.md").schedule
    assert (schedule.optimizer, schedule.peak_rate) == ("sgd", 0.01)


def test_pretrained_page_states_the_defaults() -> None:
    rows = [line.split("|")[2:5] for line in PAGE.splitlines() if line.startswith("| ")][2:]
    stated = [[cell.strip().strip("`") for cell in row] for row in rows]
    kinds = [("resnet14", False), ("timm:resnet18", True), ("timm:vit", False), ("timm:vit", True)]
    for (network, weights), (name, rate, decay) in zip(kinds, stated, strict=True):
        defaults = schedule_defaults(network, weights=weights, optimizer=None)
        expected = {"optimizer": name, "peak_rate": float(rate), "weight_decay": float(decay)}
        assert defaults == expected


@pytest.mark.slow
@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_pretrained_page_hardens_a_network_and_a_transformer(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("oodguard.training.cli.evaluate.SUITES", {"standard": SHORT})
    for name, data in (("photos", "signs"), ("other", "outliers"), ("strange", "textures")):
        (tmp_path / name).symlink_to(ROOT / "tests" / "data" / data)
    (tmp_path / "weights").mkdir()
    torch.manual_seed(0)
    tensors = import_timm().create_model(model, num_classes=1000).state_dict()
    safetensors.torch.save_file(tensors, tmp_path / "weights" / "model.safetensors")
    text = RECIPE.replace("timm:resnet18", f"timm:{model}")
    for old, new in SMALLER.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    commands = [line for line in PAGE.splitlines() if line.startswith("    oodguard-train")]
    assert len(commands) == 3
    for line in commands:
        done = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        if " fit " in line:
            assert "the head was left out" in done.output
    progress = RunFolder(tmp_path / "runs" / "mine").progress()
    assert progress.started_from is not None
    manifest = open_bundle(tmp_path / "mine").manifest
    assert manifest.training.network == f"timm:{model}"
    assert manifest.training.libraries["timm"]
