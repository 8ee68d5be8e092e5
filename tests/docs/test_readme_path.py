"""The README's training commands, run as a reader would run them."""

import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Train your own")[2].partition("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    .venv/bin/")]
    return [line.removeprefix(".venv/bin/") for line in lines]


@pytest.mark.slow
def test_the_training_commands_of_the_readme_lead_to_verdicts(tmp_path: Path) -> None:
    for name in ("recipes", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    commands = _commands()
    assert [command.split()[0] for command in commands] == ["oodguard-train"] * 3 + ["oodguard"]
    outputs = []
    for command in commands:
        here = command.replace("/tmp/smoke", "bundle")  # noqa: S108  (the reader's, not ours)
        script = f"{shlex.quote(sysconfig.get_path('scripts'))}/{here}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        outputs.append(done.stdout)
    assert "accept" in outputs[-1]
    assert "reject" in outputs[-1]
