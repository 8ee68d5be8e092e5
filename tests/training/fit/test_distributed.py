"""Two processes on one machine, compared with one process, and with a run that lost one of them.

The network of the first test has no batch-norm, which on CPUs is separate per process. The only
remaining difference from one process is the order in which floats are summed, so losses agree to
1e-4. An objective that saw half of a batch, or other random numbers, would differ by far more.
"""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import torch
from lightning_fabric import Fabric

from oodguard.command_line.exit_codes import ExitCode
from oodguard.models.errors import RecipeError
from oodguard.training.fit import distributed
from oodguard.training.fit.fit import fit
from oodguard.training.fit.process_errors import OtherProcessError, check_same_data
from oodguard.training.run_folder import RunFolder
from tests.training.fit.observers import RecordingObserver, is_same
from tests.training.recipes import RECIPE, with_network

ROOT = Path(__file__).parents[3]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _environment(recipe: Path, **more: object) -> dict[str, str]:
    base = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(recipe.parent)}
    return base | {key: str(value) for key, value in more.items()}


def _arguments(folder: Path, recipe: Path, *options: str) -> list[str]:
    fit_run = ["-m", "oodguard.training", "fit", str(recipe), "--out", str(folder)]
    return [*fit_run, "--threads", "1", *options]


def _fit_in_two_processes(
    folder: Path, recipe: Path, *options: str, restarts: int = 0, **environment: object
) -> str:
    port = _free_port()
    python = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    # Otherwise the store of addresses is kept after a restart, with those of ended processes.
    own_store = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    torchrun = [*python, "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}"]
    torchrun += [f"--max-restarts={restarts}"]
    done = subprocess.run(
        [*torchrun, *_arguments(folder, recipe, *options)],
        cwd=recipe.parent,
        env=_environment(recipe, **own_store, **environment),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return done.stdout


def _start_two_processes(
    folder: Path, recipe: Path, **environment: object
) -> list[subprocess.Popen[str]]:
    """Start what torchrun starts, without torchrun, which would end one if the other has ended."""
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": _free_port(),
        "WORLD_SIZE": 2,
        "LOCAL_WORLD_SIZE": 2,
        "TORCHELASTIC_RUN_ID": "test",
        "TORCHELASTIC_RESTART_COUNT": 0,
        "TORCHELASTIC_MAX_RESTARTS": 0,
    }
    return [
        subprocess.Popen(
            [sys.executable, *_arguments(folder, recipe)],
            cwd=recipe.parent,
            env=_environment(recipe, **shared, RANK=rank, LOCAL_RANK=rank, **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def _lines_of_program(process: subprocess.Popen[str]) -> list[str]:
    """Return the errors of a process, without warnings, and lines of progress on a busy machine."""
    lines = process.communicate(timeout=600)[1].splitlines()
    start = "oodguard-train: "
    return [
        each.removeprefix(start)
        for each in lines
        if each.startswith(start)
        and "warning: " not in each
        and not each.endswith((" so far", " left"))
    ]


@pytest.fixture(scope="module")
def batch_norm_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder]:
    """Return a recipe with batch-norm, and its run in two processes without a loss."""
    folder = tmp_path_factory.mktemp("run")
    recipe = folder / "recipe.toml"
    recipe.write_text(with_network(RECIPE, "tests.training.fit.networks:LostWorker"))
    _fit_in_two_processes(folder / "whole", recipe)
    return recipe, RunFolder(folder / "whole")


def _assert_same(one: RunFolder, two: RunFolder) -> None:
    assert is_same(one.tensors(one.progress()), two.tensors(two.progress()))
    losses = [[each.loss for each in run.progress().epochs] for run in (one, two)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["aloe", "acet", "atom"])  # atom ranks a pool over both
def test_two_processes_train_with_the_losses_of_one(tmp_path: Path, method: str) -> None:
    text = with_network(RECIPE, "tests.training.fit.networks:PartlyFrozen")
    text = text.replace('"aloe"', f'"{method}"')
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


@pytest.mark.slow
def test_run_continues_when_torchrun_replaces_a_lost_process(
    tmp_path: Path, batch_norm_run: tuple[Path, RunFolder]
) -> None:
    recipe, whole = batch_norm_run
    for epoch, lost in ((1, 0), (2, 1)):
        step = 4 * (epoch - 1) + 2  # an epoch has 4 steps
        folder = tmp_path / f"lost-in-epoch-{epoch}"
        output = _fit_in_two_processes(folder, recipe, restarts=1, KILLED_AT=step, LOST=lost)
        assert output.count("epoch 1/2:") == 1  # a finished epoch is not repeated
        _assert_same(whole, RunFolder(folder))


@pytest.mark.slow
def test_lost_process_is_reported_in_one_line_and_resume_repeats_the_run(
    tmp_path: Path, batch_norm_run: tuple[Path, RunFolder]
) -> None:
    recipe, whole = batch_norm_run
    survivor, lost = _start_two_processes(tmp_path / "run", recipe, KILLED_AT=6, LOST=1)
    (line,) = _lines_of_program(survivor)
    assert line.startswith("another process of the run ended or cannot be reached (")
    assert line.endswith("finished epoch: repeat the command with --resume")
    assert survivor.returncode == ExitCode.UNREACHABLE
    assert _lines_of_program(lost) == []
    assert lost.returncode == -signal.SIGKILL
    _fit_in_two_processes(tmp_path / "run", recipe, "--resume")
    _assert_same(whole, RunFolder(tmp_path / "run"))


@pytest.mark.slow
def test_error_of_the_first_process_is_printed_once_and_ends_all(
    batch_norm_run: tuple[Path, RunFolder],
) -> None:
    recipe, whole = batch_norm_run
    first, second = _start_two_processes(whole.folder, recipe)
    (line,) = _lines_of_program(first)
    assert "already contains a run: continue it with --resume" in line
    second.terminate()  # as torchrun does
    assert _lines_of_program(second) == []
    assert first.returncode == 1
    assert second.returncode in (-signal.SIGTERM, 1)  # 1 if it has not been ended within 30 s


@pytest.mark.parametrize(
    ("rank", "error", "text"),
    [
        (0, OtherProcessError, "process 1 of the run ended with an error: other data"),
        (1, RecipeError, r"process 1 reads on .* have the sha256 b, expected a, that of process 0"),
        (2, OtherProcessError, "process 1 of the run ended with an error: other data"),
    ],
)
def test_processes_with_other_data_than_the_first_end_all(
    monkeypatch: pytest.MonkeyPatch, rank: int, error: type[Exception], text: str
) -> None:
    class Three:
        """The Fabric of one of three processes."""

        world_size = 3
        global_rank = rank

    def gather(found: list[object], own: object) -> None:
        others = ["a", "b", "a"] if found == [""] * 3 else [None, "other data", None]
        assert own == others[rank] or rank == 1
        found[:] = others

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    with pytest.raises(error, match=text):
        check_same_data(cast("Fabric", Three()), "aba"[rank])


@pytest.mark.parametrize(("given", "shared", "expected"), [(1, 3, 1), (4, 2, 2)])
def test_launched_process_has_no_more_threads_than_were_given(
    monkeypatch: pytest.MonkeyPatch, given: int, shared: int, expected: int
) -> None:
    class Shares:
        """A Fabric that gives each process its share of the CPUs."""

        def __init__(self, **_: object) -> None:
            pass

        def launch(self) -> None:
            torch.set_num_threads(shared)

    monkeypatch.setattr(distributed, "Fabric", Shares)
    monkeypatch.setattr(f"{distributed.__name__}.TorchElasticEnvironment.detect", lambda: True)
    for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(given)
        distributed.launch_processes()
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)
