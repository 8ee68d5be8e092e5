"""docs/wrap.md documents every option, and its example runs."""

import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest
import typer

from oodguard.models.bundle import open_bundle
from oodguard.training.cli.app import app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "wrap.md").read_text(encoding="utf-8")


def _options() -> list[str]:
    command = typer.main.get_command(app)
    wrap = command.commands["wrap"]  # type: ignore[attr-defined]
    return [option.opts[0] for option in wrap.params if option.opts[0].startswith("--")]


def test_wrap_page_documents_every_option_and_no_other() -> None:
    rows = "".join(line for line in TEXT.splitlines() if line.startswith("| `--"))
    names = {cell for row in rows.split("\n") for cell in re.findall(r"`(--[a-z-]+)`", row)}
    assert names == set(_options())


@pytest.mark.slow
def test_wrap_page_example_leads_to_verdicts(tmp_path: Path) -> None:
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    program = TEXT.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "signs.py").write_text(program.replace("/tmp/", ""), encoding="utf-8")  # noqa: S108
    section = TEXT.partition("## A complete example")[2].partition("\n## ")[0]
    commands = [line.strip() for line in section.splitlines() if ".venv/bin/" in line]
    assert len(commands) == 4
    outputs = []
    for command in commands:
        local = command.replace("/tmp/", "./").replace(  # noqa: S108  (the reader's folder)
            ".venv/bin", shlex.quote(sysconfig.get_path("scripts"))
        )
        done = subprocess.run(
            ["bash", "-c", local], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        outputs.append(done.stdout)
    assert open_bundle(tmp_path / "signs").manifest.training.method == "wrapped"
    accuracy = re.search(r"Clean accuracy ([\d.]+) %", outputs[1])
    assert accuracy is not None
    assert float(accuracy[1]) > 70
    assert "not hardened" in outputs[1]
    assert "accept" in outputs[3]
    assert "reject" in outputs[3]
