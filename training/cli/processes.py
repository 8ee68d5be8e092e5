"""The errors of a run in several processes that torchrun started: each is printed once.

torchrun ends the others when one process has ended. A process that does not report the error
therefore waits to be ended: if it ended first, torchrun could end the one that reports.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from oodguard.command_line.exit_codes import ExitCode
from oodguard.models.errors import GuardError
from oodguard.training.fit.process_errors import OtherProcessError, lost_process_cause

WAIT_S = 30.0
"""The time after which a process that torchrun has not ended ends by itself."""


class LostProcessError(GuardError):
    """Another process of the run ended, or cannot be reached."""

    exit_code = ExitCode.UNREACHABLE


def is_first_process() -> bool:
    """Return whether this process is the first of all that torchrun started, or the only one."""
    return _number("RANK") == 0


@contextmanager
def report_once() -> Iterator[None]:
    """Let one process of each machine report an error that all processes have.

    Raises:
        GuardError: The error that this process reports.
        Exit: Another process reports it.
    """
    try:
        yield
    except GuardError as error:
        if not _reports(error):
            time.sleep(WAIT_S)  # torchrun ends this process meanwhile
            if isinstance(error, OtherProcessError):
                raise typer.Exit(ExitCode.INVALID) from error
        raise


@contextmanager
def explain_lost_process(progress: Path) -> Iterator[None]:
    """Replace errors of the exchange between processes by one that states how the run continues.

    `progress` is the file of the run that its first checkpoint creates.

    Raises:
        LostProcessError: Another process of the run ended.
    """
    try:
        yield
    except RuntimeError as error:
        cause = lost_process_cause(error)
        if cause is None:
            raise
        raise LostProcessError(
            f"another process of the run ended or cannot be reached ({cause})."
            f" {_continuation(has_checkpoint=progress.exists())}"
        ) from error


def _continuation(*, has_checkpoint: bool) -> str:
    """Return how a run continues after torchrun has ended its processes."""
    after = "after the last finished epoch" if has_checkpoint else "from the start"
    if _number("TORCHELASTIC_RESTART_COUNT") < _number("TORCHELASTIC_MAX_RESTARTS"):
        return f"torchrun starts all processes again, and they continue {after}"
    if has_checkpoint:
        return "Continue after the last finished epoch: repeat the command with --resume"
    return "No epoch is finished: repeat the command without --resume"


def _reports(error: GuardError) -> bool:
    """Return whether this process prints an error, of those of its machine that have it."""
    local = _number("LOCAL_RANK")
    if isinstance(error, LostProcessError):
        return local <= 1  # one of these two may be the lost one
    if isinstance(error, OtherProcessError):
        first = _number("RANK") - local  # of this machine
        is_here = first <= error.process < first + _number("LOCAL_WORLD_SIZE")
        return local == 0 and not is_here
    return local == 0 or _is_connected()  # before, all processes of a machine have the same errors


def _is_connected() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.distributed.is_initialized())


def _number(variable: str) -> int:
    """Return a number that torchrun sets, or 0 without torchrun."""
    return int(os.environ.get(variable, "0"))
