import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from oodguard.command_line import progress
from oodguard.training.cli import app

ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{package}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
from oodguard.training.cli.main import main
main()
"""


@pytest.mark.parametrize("package", ["torch", "typer"])
def test_missing_training_extra_is_reported_without_a_traceback(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(package=package), "--help"],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr == (
        f'oodguard-train: {package} is not installed. Install the "training" extra:'
        " pip install -e '.[training]' in the clone of OOD Guard\n"
    )


ENDING = """
import atexit, os, sys
from types import SimpleNamespace as Namespace

class Aborts:
    def __del__(self):
        os.abort()

def app():
    print("output")
    sys.exit(3)

aborts_at_the_end_of_the_interpreter = Aborts()
atexit.register(print, "registered")
sys.modules["torch"] = Namespace(distributed=Namespace(is_initialized=lambda: {is_connected}))
sys.modules["oodguard.training.cli.app"] = Namespace(app=app)
from oodguard.training.cli.main import main
main()
"""


@pytest.mark.parametrize(("is_connected", "code"), [(True, 3), (False, -signal.SIGABRT)])
def test_connected_process_ends_without_the_end_of_the_interpreter(
    is_connected: bool, code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDING.format(is_connected=is_connected)],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == "output\nregistered\n"


def test_command_reports_that_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, it takes half a minute; the completion of a shell is silent."""
    lines: list[str] = []
    printed = threading.Event()

    def print_line(text: str) -> None:
        lines.append(text)
        printed.set()

    def slow(name: str) -> ModuleType:
        assert printed.wait(20)
        return ModuleType(name)

    monkeypatch.setattr(progress, "FIRST_LINE_S", 0)
    monkeypatch.setattr(progress, "POLL_S", 0.01)
    monkeypatch.setattr(progress, "print_notice", print_line)
    monkeypatch.setattr(app, "importlib", SimpleNamespace(import_module=slow))
    assert app._loaded("slow", quiet=False).__name__ == "slow"
    assert lines[0].startswith("loading torch: ")
    lines.clear()
    app._loaded("slow", quiet=True)
    assert lines == []
