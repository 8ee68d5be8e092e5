"""Errors of a run in several processes, without starting any."""

from pathlib import Path

import pytest
import torch
import typer

from oodguard.models.errors import RecipeError
from oodguard.training.cli.processes import LostProcessError, explain_lost_process, report_once
from oodguard.training.fit.process_errors import OtherProcessError

GLOO = (
    "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:9630:"
    " Connection reset by peer. This is typically caused by a remote worker hanging. GLHF!"
)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the times that processes wait for their end by torchrun, which does not come."""
    found: list[float] = []
    monkeypatch.setattr("oodguard.training.cli.processes.time.sleep", found.append)
    return found


@pytest.mark.parametrize(
    ("restarts", "has_checkpoint", "end"),
    [
        ((0, 3), True, "starts all processes again, and they continue after the last finished epo"),
        ((2, 3), False, "torchrun starts all processes again, and they continue from the start"),
        ((3, 3), True, "after the last finished epoch: repeat the command with --resume"),
        ((0, 0), False, "No epoch is finished: repeat the command without --resume"),
    ],
)
def test_lost_process_error_states_how_the_run_continues(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    restarts: tuple[int, int],
    has_checkpoint: bool,
    end: str,
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(restarts[0]))
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", str(restarts[1]))
    progress = tmp_path / "progress.json"
    if has_checkpoint:
        progress.touch()
    with pytest.raises(LostProcessError) as caught, explain_lost_process(progress):
        raise RuntimeError(GLOO)
    cause, _, rest = str(caught.value).partition("). ")
    assert cause.endswith("(Read error [127.0.0.1]:9630: Connection reset by peer")
    assert end in rest


@pytest.mark.parametrize("kind", ["DistBackendError", "DistNetworkError", "DistStoreError"])
def test_lost_process_error_replaces_those_of_torch(tmp_path: Path, kind: str) -> None:
    error = getattr(torch.distributed, kind)("NCCL error: remote process exited\nmore")
    cause = r"\(NCCL error: remote process exited\)"
    with pytest.raises(LostProcessError, match=cause), explain_lost_process(tmp_path):
        raise error


def test_lost_process_error_does_not_replace_other_errors(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="mat1"), explain_lost_process(tmp_path):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.mark.parametrize(
    ("ranks", "error", "is_reported_at_once"),
    [
        ((0, 0), RecipeError("R"), True),
        ((1, 1), RecipeError("R"), False),  # process 0 of the machine has the same error
        ((2, 0), RecipeError("R"), True),
        ((1, 1), LostProcessError("L"), True),
        ((0, 0), OtherProcessError(1, "O"), False),  # printed on the same machine
        ((2, 0), OtherProcessError(1, "O"), True),  # a machine without the error
        ((3, 1), OtherProcessError(1, "O"), False),
    ],
)
def test_error_is_reported_by_one_process_of_each_of_two_machines(
    monkeypatch: pytest.MonkeyPatch,
    waits: list[float],
    ranks: tuple[int, int],
    error: Exception,
    is_reported_at_once: bool,
) -> None:
    for name, value in zip(("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"), (*ranks, 2), strict=True):
        monkeypatch.setenv(name, str(value))
    is_silent = isinstance(error, OtherProcessError) and not is_reported_at_once
    with pytest.raises(typer.Exit if is_silent else type(error)), report_once():
        raise error
    assert bool(waits) is not is_reported_at_once
