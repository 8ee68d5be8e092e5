"""Errors, exit codes and output that all commands share."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import pytest
import typer
from rich.table import Table
from typer.testing import CliRunner, Result

from oodguard.command_line.exit_codes import ExitCode
from oodguard.command_line.output import (
    json_option,
    message,
    print_json,
    table_console,
    warn,
)
from oodguard.command_line.program import Program
from oodguard.models.errors import (
    BundleError,
    CalibrationError,
    DeviceError,
    GuardError,
    InvalidPolicy,
    ParityError,
)

SRC = Path(__file__).parents[2] / "src"


def test_table_ends_no_line_with_spaces_where_the_output_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("short", "a")
    grid.add_row("long", 50 * "b")
    table_console().print(grid)
    assert capsys.readouterr().out == f"short a\nlong  {50 * 'b'}\n"


def _program(command: Callable[..., None]) -> typer.Typer:
    app = typer.Typer(name="oodguard", cls=Program, rich_markup_mode=None)
    app.callback()(lambda: None)
    app.command("work")(command)
    return app


def _run(command: Callable[..., None], *words: str, **environment: str) -> Result:
    return CliRunner().invoke(_program(command), ["work", *words], env=environment)


def _failing(error: BaseException) -> Callable[[], None]:
    def fail() -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (GuardError("x is 1, expected 2"), 1, "x is 1, expected 2"),
        (BundleError("x: \x1b[2J"), 1, r"x: \x1b[2J"),
        (InvalidPolicy("alpha is 2"), 2, "alpha is 2"),
        (CalibrationError("too few"), 3, "too few"),
        (ParityError("differs"), 3, "differs"),
        (DeviceError("no device"), 4, "no device"),
        (
            ModuleNotFoundError("x", name="torch.cuda"),
            4,
            "torch is not installed. Install the \"cpu\" extra: pip install -e '.[cpu]' in the"
            ' clone of OOD Guard, or the "gpu" extra',
        ),
        (
            PermissionError(13, "Permission denied", "/x"),
            1,
            "/x: cannot be read or written: Permission denied. Check the path, its permissions and"
            " the free disk space",
        ),
        (
            ValueError("odd"),
            70,
            "unexpected ValueError: odd. This is a defect of OOD Guard: run the command again with"
            " --debug, and report the traceback",
        ),
        (
            ModuleNotFoundError("lost", name="oodguard.lost"),
            70,
            "unexpected ModuleNotFoundError: lost. This is a defect of OOD Guard: run the command"
            " again with --debug, and report the traceback",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_error_is_one_line_with_its_exit_code(error: BaseException, code: int, line: str) -> None:
    result = _run(_failing(error))
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"oodguard: {line}\n")


def test_error_of_another_package_states_its_exit_code() -> None:
    error = GuardError("the service cannot be reached")
    error.exit_code = ExitCode.UNAVAILABLE  # type: ignore[attr-defined]  # of a sub-class
    assert _run(_failing(error)).exit_code == 4


@pytest.mark.parametrize(("package", "code"), [("pyarrow", 4), ("oodguard.nothing", 1)])
def test_error_that_a_missing_package_has_caused_has_its_exit_code(package: str, code: int) -> None:
    error = GuardError("the table cannot be read")
    error.__cause__ = ModuleNotFoundError(name=package)
    result = _run(_failing(error))
    assert (result.exit_code, result.stderr) == (code, "oodguard: the table cannot be read\n")


@pytest.mark.parametrize(
    ("words", "environment"), [(["--debug"], {}), ([], {"OODGUARD_DEBUG": "true"})]
)
def test_debug_prints_the_traceback_and_the_same_line(
    words: list[str], environment: dict[str, str]
) -> None:
    for error in (GuardError("odd"), ValueError("odd")):
        result = _run(_failing(error), *words, **environment)
        first, *_, last = result.stderr.splitlines()
        assert first == "Traceback (most recent call last):"
        assert last.startswith("oodguard: ")
        assert "in fail" in result.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["wrok"], "No such command 'wrok'. Did you mean 'work'? See oodguard --help"),
        (["work", "--no"], "No such option: --no. See oodguard work --help"),
        (["work", "x"], "Got unexpected extra argument(s) (x). See oodguard work --help"),
    ],
)
def test_usage_error_is_one_line_with_code_2(words: list[str], line: str) -> None:
    result = CliRunner().invoke(_program(lambda: None), words)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"oodguard: {line}\n")


def test_version_is_printed() -> None:
    result = CliRunner().invoke(_program(lambda: None), ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("OOD Guard ")


def _reporting(as_json: Annotated[bool, json_option("n", "name")] = False) -> None:
    message("first")
    warn("second")
    if as_json:
        print_json({"n": float("nan"), "name": Path("\x9b\u202e")})


def test_json_is_alone_on_standard_output_and_ascii() -> None:
    plain = _run(_reporting)
    assert plain.stdout == "first\n"
    assert plain.stderr == "oodguard: warning: second\n"
    result = _run(_reporting, "--json")
    assert json.loads(result.stdout) == {"n": None, "name": "\x9b\u202e"}
    assert result.stdout.isascii()
    assert result.stderr == "first\noodguard: warning: second\n"


def test_json_with_other_keys_than_the_help_states_is_a_defect() -> None:
    def report(as_json: Annotated[bool, json_option("a")] = False) -> None:
        print_json([{"a": as_json}, {"b": 1}])

    assert _run(report, "--json").exit_code == ExitCode.DEFECT


def _oodguard(
    *words: str, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "oodguard.service", *words],
        cwd=SRC,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def test_closed_pipe_ends_the_command_silently_with_code_141() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with _oodguard("--help", stdout=writing) as process:
        os.close(writing)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (141, b"")


@pytest.mark.parametrize(
    ("redirections", "code", "errors"),
    [
        (">&-", 1, "oodguard: standard output cannot be written: Bad file descriptor\n"),
        (">/dev/full", 1, "oodguard: standard output cannot be written: No space left on device\n"),
        ("<&- >&- 2>&-", 1, ""),
        ("2>&-", 0, ""),
    ],
)
def test_closed_output_is_an_error_of_a_command_that_writes(
    redirections: str, code: int, errors: str
) -> None:
    command = ["sh", "-c", f"{sys.executable} -m oodguard.service --version {redirections}"]
    done = subprocess.run(command, cwd=SRC, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, errors)


def test_ctrl_c_prints_one_line_with_code_130(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    words = ("drift", "reset", "x", "--url", "http://127.0.0.1:9", "--key-file")
    with (
        _oodguard(*words, str(tmp_path / "key")) as process,
        # The command reads the key, once it has begun, until the pipe is closed.
        (tmp_path / "key").open("wb"),
    ):
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, output, errors) == (130, b"", b"oodguard: interrupted\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str) -> None:
    with _oodguard(_OODGUARD_COMPLETE=f"source_{shell}") as process:
        output, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert b"_OODGUARD_COMPLETE" in output


def test_completion_lists_the_commands() -> None:
    with _oodguard(
        COMP_WORDS="oodguard pre", COMP_CWORD="1", _OODGUARD_COMPLETE="complete_bash"
    ) as process:
        output, _ = process.communicate()
    assert output.split() == [b"predict"]
