"""A process that is killed with signal 9 in the middle of an epoch, and the run that goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from oodguard.training.run_folder import RunFolder

ROOT = Path(__file__).parents[2]

# A step runs it in training mode once, for the loss; attacks and figures hold it still.
NETWORK = """
import os, signal
from oodguard.models.networks.resnet import ResNet

class Mortal(ResNet):
    calls = 0

    def forward(self, images):
        Mortal.calls += self.training
        if os.environ.get("KILLED_AT") == str(Mortal.calls):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)

def make(outputs):
    return Mortal(1, outputs, 4)
"""


def _fit(recipe: Path, folder: Path, *more: str, killed_at: int | None = None) -> int:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{recipe.parent}",
        "HF_HOME": str(recipe.parent / "cache"),
        **({"KILLED_AT": str(killed_at)} if killed_at else {}),
    }
    command = ("fit", str(recipe), "--out", str(folder), "--threads", "1", *more)
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "oodguard.training", *command],
        cwd=recipe.parent,
        env=environment,
        capture_output=True,
        timeout=600,
        check=False,
    ).returncode


@pytest.mark.slow
def test_a_run_killed_in_mid_epoch_goes_on_to_the_very_same_result(
    tmp_path: Path, recipe_text: str
) -> None:
    (tmp_path / "a_mortal_net.py").write_text(NETWORK, encoding="utf-8")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text.replace('"resnet8"\nwidth = 4', '"a_mortal_net:make"'))
    assert _fit(recipe, tmp_path / "whole") == 0
    in_the_second = 4 + 2  # 4 steps an epoch
    assert _fit(recipe, tmp_path / "cut", killed_at=in_the_second) == -signal.SIGKILL
    cut, whole = RunFolder(tmp_path / "cut"), RunFolder(tmp_path / "whole")
    assert len(cut.progress().epochs) == 1
    assert _fit(recipe, tmp_path / "cut", "--resume") == 0
    resumed, uninterrupted = cut.tensors(cut.progress()), whole.tensors(whole.progress())
    assert resumed.keys() == uninterrupted.keys()
    assert all(torch.equal(resumed[name], uninterrupted[name]) for name in resumed)
    figures = [
        [epoch.model_dump(exclude={"duration_s"}) for epoch in run.progress().epochs]
        for run in (cut, whole)
    ]
    assert figures[0] == figures[1]
