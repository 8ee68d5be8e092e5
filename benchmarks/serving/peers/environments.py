"""A virtual environment for each peer, made on first use, since they exclude each other."""

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STAMP = "requirements.sha256"
PIP = ("-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check")


def python_of(peer: str, folder: Path) -> Path:
    """Make a peer's environment if its requirements are new; its interpreter.

    Args:
        peer: A folder beside this file that holds a requirements.txt.
        folder: Where the environments are kept.

    Raises:
        subprocess.CalledProcessError: pip failed; the next call begins anew.
    """
    requirements = HERE / peer / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    environment = folder / peer
    python = environment / "bin" / "python"
    stamp = environment / STAMP
    if not stamp.exists() or stamp.read_text() != wanted:
        _run(sys.executable, "-m", "venv", "--clear", str(environment))
        _run(str(python), *PIP, "--requirement", str(requirements))
        stamp.write_text(wanted)  # Last: an interrupted installation is not taken for a whole one.
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603
