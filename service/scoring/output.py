"""The folder of verdicts: its plan, its shards, and which parts are missing."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from oodguard.service.errors import ScoringError, UnreadableFile
from oodguard.service.regular_file import read_regular_file, write_new_file
from oodguard.service.scoring.name_list import remove_names
from oodguard.service.scoring.plan import PLAN_FILE, ScoringPlan, check_same, read_plan

LOCK_FILE: Final = "_lock"
NAMES_FILE: Final = "_names"
SUMMARY_FILE: Final = "_summary.json"
SHEET_FILE: Final = "_worst.html"

MAX_SUMMARY_BYTES: Final = 2**24

_SHARD, _PROVISIONAL, _PARTIAL = "part-", "_scored-", "_partial-"
_SUFFIX = ".parquet"


class ScoringOutput:
    """The shards of a run.

    A shard exists if and only if it is complete: it is written under another name, synced, and
    renamed. With a false-discovery rate, shards are provisional until all images are scored.

    Args:
        folder: The folder.
        provisional: Whether scored shards are provisional.
    """

    def __init__(self, folder: Path, *, provisional: bool) -> None:
        self.folder = folder
        self._provisional = provisional

    def shard(self, part: int) -> Path:
        """Return the path of a shard with final decisions."""
        return self.folder / f"{_SHARD}{part:05d}{_SUFFIX}"

    def scored(self, part: int) -> Path:
        """Return the path to which a scored part is written."""
        name = f"{_PROVISIONAL if self._provisional else _SHARD}{part:05d}{_SUFFIX}"
        return self.folder / name

    def present(self, part: int) -> Path:
        """Return the path of the shard of a scored part, which is final or provisional."""
        final = self.shard(part)
        return final if not self._provisional or final.exists() else self.scored(part)

    def missing(self, parts: int) -> NDArray[np.int64]:
        """Return the parts that are not scored, ascending."""
        names = set(os.listdir(self.folder))  # noqa: PTH208 - names only
        return np.array(
            [
                part
                for part in range(parts)
                if not {self.shard(part).name, self.scored(part).name} & names
            ],
            np.int64,
        )


@contextmanager
def open_output(folder: Path) -> Iterator[None]:
    """Create the folder, or open that of an earlier run; no other process writes meanwhile.

    Raises:
        ScoringError: The folder has other files, is in use, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ScoringError(
            f"{folder} is a file, expected a new folder, or one of an earlier run: oodguard score"
            " writes a folder of Parquet files"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [
            each.name for each in folder.iterdir() if each.name not in {LOCK_FILE, NAMES_FILE}
        ]
        if others and PLAN_FILE not in others and f"{PLAN_FILE}.new" not in others:
            raise ScoringError(
                f"{folder} has other files, such as {sorted(others)[0]}, and no {PLAN_FILE} of an"
                " earlier run: give a new folder as --out"
            )
        descriptor = _lock(folder)
    except OSError as error:
        raise ScoringError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        if not (folder / PLAN_FILE).exists():  # nothing to continue
            (folder / LOCK_FILE).unlink(missing_ok=True)
            remove_names(folder / NAMES_FILE)
            with suppress(OSError):
                folder.rmdir()
        os.close(descriptor)


def _lock(folder: Path) -> int:
    """Return the descriptor of the locked file; the lock ends with it.

    Raises:
        ScoringError: Another process has locked the file, or removed it at its end.
    """
    path = folder / LOCK_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_used = not os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError as error:  # another one: the file system has no locks
        is_used = error.errno in {errno.EAGAIN, errno.EACCES, errno.ENOENT}
    if is_used:
        os.close(descriptor)
        raise ScoringError(f"{folder} is in use by another oodguard score: wait until it ends")
    return descriptor


def start_or_continue(folder: Path, plan: ScoringPlan) -> ScoringOutput:
    """Write the plan, or check that it is that of the earlier run; remove partial files.

    Raises:
        ScoringError: The earlier run had another plan, or the folder cannot be written.
    """
    earlier = read_plan(folder)
    if earlier is not None:
        check_same(folder, earlier, plan)
    try:
        for each in folder.glob(f"{_PARTIAL}*"):
            each.unlink(missing_ok=True)
        if earlier is None:
            write_file(folder / PLAN_FILE, plan.model_dump_json(indent=2).encode())
    except OSError as error:
        raise ScoringError(f"{folder} cannot be written: {error.strerror}") from error
    return ScoringOutput(folder, provisional=plan.fdr is not None)


def earlier_speed(folder: Path) -> dict[str, float | None]:
    """Return the speed of the last command that scored images, as its summary has it."""
    speed: dict[str, float | None] = {"seconds": None, "images_per_second": None}
    with suppress(OSError, UnreadableFile, orjson.JSONDecodeError, KeyError):
        summary = orjson.loads(read_regular_file(folder / SUMMARY_FILE, MAX_SUMMARY_BYTES))
        speed = {name: summary[name] for name in speed}
    return speed


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    partial = path.with_name(path.name + ".new")
    write_new_file(partial, content, sync=True)
    partial.replace(path)


def write_shard(path: Path, content: bytes) -> None:
    """Write a shard atomically: whenever the process is killed, the path is complete or absent.

    Raises:
        OSError: It cannot be written.
    """
    partial = path.with_name(f"{_PARTIAL}{os.getpid()}-{path.name}")
    write_new_file(partial, content, sync=True)
    partial.replace(path)
