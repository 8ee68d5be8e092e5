"""Two processes on one machine, started by torchrun, compared with one process.

The network has no batch-norm, which on CPUs is separate per process. The only remaining difference
is the order in which floats are summed, so losses agree to 1e-4. An objective that saw half of a
batch, or other random numbers, would differ by far more.
"""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from oodguard.training.fit.distributed import drop_remainder
from oodguard.training.fit.fit import fit
from oodguard.training.run_folder import RunFolder
from tests.training.fit.observers import RecordingObserver
from tests.training.recipes import RECIPE, with_network

ROOT = Path(__file__).parents[3]


def _fit_in_two_processes(folder: Path, recipe: Path) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    python = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    torchrun = [*python, "--master-addr=127.0.0.1", f"--master-port={port}"]
    command = ["oodguard.training", "fit", str(recipe), "--out", str(folder), "--threads", "1"]
    done = subprocess.run(
        [*torchrun, "-m", *command],
        cwd=recipe.parent,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(recipe.parent)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "batch"),
    [("aloe", 31), ("atom", 30)],  # 16 and 15 inliers per process; a pool ranked over both
)
def test_two_processes_train_with_the_losses_of_one(
    tmp_path: Path, method: str, batch: int
) -> None:
    text = with_network(RECIPE, "tests.training.fit.networks:PartlyFrozen")
    text = text.replace('"aloe"', f'"{method}"').replace("batch_size = 30", f"batch_size = {batch}")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    one = fit(RunFolder.create(tmp_path / "one", text), RecordingObserver(), resume=False)
    output = _fit_in_two_processes(tmp_path / "two", recipe)
    two = RunFolder(tmp_path / "two").progress()
    losses, expected = ([epoch.loss for epoch in each.epochs] for each in (two, one))
    assert losses == pytest.approx(expected, abs=1e-4)
    assert two.hardware.startswith("2 processes, each on ")
    assert two.command.startswith("oodguard-train fit ")
    assert output.count("epoch 1/2:") == 1  # only the first process prints
    rows = (tmp_path / "two" / "logs" / "csv" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3  # and writes: the header and two epochs


@pytest.mark.parametrize(
    ("inliers", "outliers", "processes", "remaining"),
    [(30, 30, 1, 30), (31, 30, 2, 29), (30, 27, 4, 26), (30, 30, 4, 30), (31, 0, 2, 0)],
)
def test_outliers_are_dropped_so_that_the_batch_divides_evenly(
    inliers: int, outliers: int, processes: int, remaining: int
) -> None:
    kept = drop_remainder(inliers, torch.arange(outliers), processes=processes)
    assert kept.tolist() == list(range(remaining))
