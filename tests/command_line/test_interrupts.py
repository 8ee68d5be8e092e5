"""Ctrl-C before, within and after a command: one line, and the exit code 130."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oodguard.command_line import interrupts
from oodguard.command_line.exit_codes import ExitCode

SRC = Path(__file__).parents[2] / "src"

INTERRUPT = "import signal\nsignal.raise_signal(signal.SIGINT)\n"

PROGRAM = """
import signal
import typer
from oodguard.command_line.program import Program

app = typer.Typer(name="oodguard", cls=Program, rich_markup_mode=None)
app.callback()(lambda: None)

class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

@app.command()
def work():
    print("begun", flush=True)
    {body}
"""

MODULES = {
    # Python would print the traceback of the import.
    "an import": (INTERRUPT, b""),
    "an import that ignores exceptions": (
        f"try:\n  {INTERRUPT.replace(chr(10), '; ')}\nexcept: pass",
        b"",
    ),
    # It would print the traceback, and the command would continue.
    "a destructor": (PROGRAM.format(body="Interrupted(); print('not reached')"), b"begun\n"),
    "a command": (PROGRAM.format(body="signal.raise_signal(signal.SIGINT)"), b"begun\n"),
    # As C extensions do.
    "an import that raises another exception": (
        PROGRAM.format(
            body="try: signal.raise_signal(signal.SIGINT)\n    except BaseException as error:"
            " raise ImportError('initialization failed') from error"
        ),
        b"begun\n",
    ),
    "the end of the process": (
        PROGRAM.format(body="import atexit; atexit.register(signal.raise_signal, signal.SIGINT)"),
        b"begun\n",
    ),
}


@pytest.mark.parametrize("moment", MODULES)
def test_interrupt_prints_one_line_at_every_moment(tmp_path: Path, moment: str) -> None:
    text, output = MODULES[moment]
    (tmp_path / "module.py").write_text(text)
    start = (
        "from oodguard.command_line.entry import run_program;"
        " run_program('module', program='oodguard', extra='cpu')"
    )
    result = subprocess.run(
        [sys.executable, "-c", start, "work"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{SRC}:{tmp_path}"},
        capture_output=True,
        check=False,
    )
    expected = (130, output, b"oodguard: interrupted\n")
    assert (result.returncode, result.stdout, result.stderr) == expected


def test_interrupt_stays_ignored_in_a_process_that_ignores_it() -> None:
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupts.end_at_interrupt("oodguard")
        with interrupts.RaisedInterrupts():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert interrupts.INTERRUPTED == ExitCode.INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, earlier)
