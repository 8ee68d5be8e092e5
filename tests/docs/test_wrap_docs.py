"""docs/wrap.md documents every option, and its example runs."""

import re
from pathlib import Path
from typing import cast

import pytest
import typer

from oodguard.models.bundle import open_bundle
from oodguard.training.cli.app import LazyCommands, app
from tests.docs.commands import run_commands

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "wrap.md").read_text(encoding="utf-8")


def _options() -> list[str]:
    command = cast("LazyCommands", typer.main.get_command(app))
    wrap = command.get_command(None, "wrap")
    return [option.opts[0] for option in wrap.params if option.opts[0].startswith("--")]


def test_wrap_page_documents_every_option_and_no_other() -> None:
    rows = "".join(line for line in TEXT.splitlines() if line.startswith("| `--"))
    names = {cell for row in rows.split("\n") for cell in re.findall(r"`(--[a-z-]+)`", row)}
    assert names == set(_options())


@pytest.mark.slow
def test_wrap_page_example_leads_to_verdicts(tmp_path: Path) -> None:
    for name in ("examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    section = TEXT.partition("## A complete example")[2].partition("\n## ")[0]
    served = next(line for line in section.splitlines() if "oodguard serve" in line)
    _, wrapped, _, verdicts = run_commands(section.replace(served, ""), tmp_path).values()
    assert open_bundle(tmp_path / "signs").manifest.training.method == "wrapped"
    accuracy = re.search(r"Clean\s+accuracy\s+([\d.]+)\s%", wrapped)
    assert accuracy is not None
    assert float(accuracy[1]) > 70
    assert "not hardened" in wrapped
    assert "accept" in verdicts
    assert "reject" in verdicts
