import subprocess
import sys
from pathlib import Path

import pytest

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
    assert done.returncode == 1
    assert done.stderr == (
        f'oodguard-train: {package} is not installed. Install the "training" extra:'
        " pip install -e '.[training]' in the clone of OOD Guard\n"
    )
