"""Run the commands of a page."""

import shlex
import subprocess
import sysconfig
from pathlib import Path


def run_commands(section: str, folder: Path) -> dict[str, str]:
    """Run the indented commands of a section in a folder, which replaces /tmp; return the outputs.

    They use this interpreter's scripts in place of those of .venv.
    """
    scripts = shlex.quote(sysconfig.get_path("scripts"))
    outputs = {}
    for line in section.splitlines():
        if line.startswith("    ") and ".venv/bin/" in line:
            command = line.strip().replace("/tmp/", "./").replace(".venv/bin", scripts)  # noqa: S108
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            outputs[line.strip()] = done.stdout
    return outputs
