"""A process that is killed in the middle of an epoch, and the run that is resumed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oodguard.training.run_folder import RunFolder
from tests.training.fit.observers import is_same
from tests.training.recipes import RECIPE, with_network

ROOT = Path(__file__).parents[3]


def _fit(recipe: Path, folder: Path, *options: str, killed_at: int | None = None) -> int:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HOME": str(recipe.parent / "cache"),
        **({"KILLED_AT": str(killed_at)} if killed_at else {}),
    }
    command = ("fit", str(recipe), "--out", str(folder), "--threads", "1", *options)
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "oodguard.training", *command],
        cwd=recipe.parent,
        env=environment,
        capture_output=True,
        timeout=600,
        check=False,
    ).returncode


@pytest.mark.slow
def test_run_resumed_after_a_kill_repeats_an_uninterrupted_one(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(with_network(RECIPE, "tests.training.fit.networks:KilledNetwork"))
    assert _fit(recipe, tmp_path / "uninterrupted") == 0
    in_the_second_epoch = 4 + 2  # an epoch has 4 steps
    killed = _fit(recipe, tmp_path / "killed", killed_at=in_the_second_epoch)
    assert killed == -signal.SIGKILL
    resumed, uninterrupted = (RunFolder(tmp_path / name) for name in ("killed", "uninterrupted"))
    assert len(resumed.progress().epochs) == 1
    assert _fit(recipe, tmp_path / "killed", "--resume") == 0
    assert is_same(
        resumed.tensors(resumed.progress()), uninterrupted.tensors(uninterrupted.progress())
    )
    measured = {"duration_s", "validation_s"}
    epochs = [
        [epoch.model_dump(exclude=measured) for epoch in run.progress().epochs]
        for run in (resumed, uninterrupted)
    ]
    assert epochs[0] == epochs[1]
