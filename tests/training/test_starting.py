"""Runs that start from the weights of another."""

import hashlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.training.cli.main import app
from oodguard.training.fit.fit import fit
from oodguard.training.fit.trainer import Tick
from oodguard.training.run_folder import Epoch, RunFolder, read_start
from oodguard.training.scoring.network import trained_network


class Silent:
    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None: ...

    def tick(self, epoch: int, tick: Tick) -> None: ...

    def finish_epoch(self, epoch: Epoch) -> None: ...

    def warn(self, message: str) -> None: ...


@pytest.fixture
def short(recipe_text: str) -> str:
    return recipe_text.replace("epochs = 2", "epochs = 1")


@pytest.fixture
def before(tmp_path: Path, short: str) -> RunFolder:
    """A run that was trained by another seed."""
    run = RunFolder.create(tmp_path / "before", short.replace("seed = 3", "seed = 4"))
    fit(run, Silent(), resume=False)
    return run


def test_a_run_starts_from_the_averaged_weights_of_another_and_remembers_which(
    tmp_path: Path, short: str, before: RunFolder
) -> None:
    still = short.replace("epochs = 1", "epochs = 1\npeak_rate = 1e-9")
    run = RunFolder.create(tmp_path / "after", still)
    progress = fit(run, Silent(), resume=False, start=read_start(before.folder))
    old = before.tensors(before.progress())["average.head.weight"]
    for name in ("average", "network"):
        torch.testing.assert_close(run.tensors(progress)[f"{name}.head.weight"], old)
    content = (before.folder / "epoch-001.safetensors").read_bytes()
    assert progress.started_from is not None
    assert progress.started_from.name == "before/epoch-001.safetensors"
    assert progress.started_from.sha256 == hashlib.sha256(content).hexdigest()
    assert fit(run, Silent(), resume=True).started_from == progress.started_from


def test_the_state_dict_of_a_network_is_as_good_as_its_run(
    tmp_path: Path, before: RunFolder
) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(trained_network(before, classes=10).state_dict(), path)
    of_file, of_run = read_start(path), read_start(before.folder)
    assert of_file.origin.name == "weights.safetensors"
    assert of_file.tensors.keys() == of_run.tensors.keys()
    assert all(torch.equal(of_file.tensors[key], of_run.tensors[key]) for key in of_run.tensors)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (("width = 4", "width = 8"), "where 8x"),
        (('"aloe"', '"aloe-abstain"'), r"head\.weight 10x16 where 11x16 was wanted"),
    ],
)
def test_weights_of_another_network_are_refused_with_what_differs(
    tmp_path: Path, short: str, before: RunFolder, change: tuple[str, str], difference: str
) -> None:
    run = RunFolder.create(tmp_path / "after", short.replace(*change))
    with pytest.raises(CheckpointError, match=f"before/epoch-001.safetensors is of.*{difference}"):
        fit(run, Silent(), resume=False, start=read_start(before.folder))


def test_what_is_no_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no checkpoint yet"):
        read_start(tmp_path)
    with pytest.raises(CheckpointError, match=r"gone\.safetensors: cannot be read as weights"):
        read_start(tmp_path / "gone.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError, match="wanted a run's folder or a"):
        read_start(tmp_path / "bad.safetensors")


def test_the_command_starts_from_a_run_and_does_not_do_so_when_it_resumes(
    tmp_path: Path, short: str, before: RunFolder
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(short)
    after = tmp_path / "after"
    command = ["fit", str(recipe), "--out", str(after), "--from", str(before.folder)]
    assert CliRunner().invoke(app, command).exit_code == 0
    origin = RunFolder(after).progress().started_from
    assert origin is not None
    assert origin.name == "before/epoch-001.safetensors"
    refused = CliRunner().invoke(app, [*command, "--resume"])
    assert refused.exit_code == 1
    assert "came --resume and --from" in refused.stderr
