"""Run a command in this process, with pipes or a terminal at its standard output and error."""

import io
import os
import pty
import sys
import tempfile
import threading
import tty
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pytest
import typer

from oodguard.command_line import output


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """The exit code of a command, and all bytes that it wrote."""

    code: int
    stdout: str
    stderr: str


def run_in_pipes(app: typer.Typer, words: Sequence[str]) -> Finished:
    """Run a command whose output is no terminal, including what libraries write past Python."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _streams(out.fileno(), err.fileno()):
            code = _exit_code(app, words)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return Finished(code=code, stdout=texts[0], stderr=texts[1])


def run_in_terminal(app: typer.Typer, words: Sequence[str]) -> Finished:
    """Run a command on a terminal, which receives standard output and error."""
    received: list[bytes] = []
    controller, terminal = pty.openpty()
    tty.setraw(terminal)  # the terminal adds no carriage returns

    def read() -> None:
        with suppress(OSError):  # at the end
            while part := os.read(controller, 65536):
                received.append(part)

    thread = threading.Thread(target=read)
    thread.start()
    with _streams(terminal, terminal):
        code = _exit_code(app, words)
    os.close(terminal)
    thread.join()
    os.close(controller)
    return Finished(code=code, stdout=b"".join(received).decode(), stderr="")


def _exit_code(app: typer.Typer, words: Sequence[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        app(list(words))
    return int(ended.value.code or 0)


@contextmanager
def _streams(out: int, err: int) -> Iterator[None]:
    """Write to two files instead of standard output and error, in Python and below it."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for number, name, target in ((1, "stdout", out), (2, "stderr", err)):
            kept = os.dup(number)
            stack.callback(os.close, kept)
            getattr(sys, name).flush()
            os.dup2(target, number)
            stack.callback(os.dup2, kept, number)
            stream = io.TextIOWrapper(os.fdopen(number, "wb", closefd=False), encoding="utf-8")
            stack.callback(stream.flush)
            patch.setattr(sys, name, stream)
        # The consoles know since they were made whether they are terminals.
        output._console.cache_clear()
        stack.callback(output._console.cache_clear)
        yield
