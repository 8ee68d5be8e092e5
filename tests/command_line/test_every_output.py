"""The output of every command: one JSON document, and no control character where none may be."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from guide.references.commands import COMMANDS, PROGRAMS
from tests.command_line.terminal import Finished, run_in_pipes, run_in_terminal
from tests.service.sampling.records import STEM, record
from tests.service.tiny import write_tiny
from tests.training.recipes import RECIPE, with_own_test_set
from tests.training.short_suite import SHORT_SUITES
from tests.training.wrap.classifiers import ConvolvedColourNet, draw_folder, exported

pytestmark = pytest.mark.slow

PRETRAINED = Path(__file__).parents[2] / "models" / "pretrained" / "cifar10-aloe"

# Relative to the folder of one kind of output; a command may read what an earlier one wrote.
WORDS: Mapping[str, str] = {
    "oodguard capacity": "--rate 1000",
    "oodguard predict": "photos --bundle tiny",
    "oodguard verify": "tiny",
    "oodguard calibrate": "tiny --data photos --out calibrated",
    "oodguard score": "photos --bundle tiny --out verdicts",
    "oodguard keys new": "--role predict --file keys.toml",
    "oodguard keys list": "keys.toml",
    "oodguard samples list": "--from samples",
    "oodguard samples show": f"{STEM.format(1, 'r1')} --from samples",
    "oodguard samples export": "exported --from samples",
    "oodguard samples review": "review.csv --from samples",
    "oodguard drift reset": "tiny --state state",
    "oodguard policy show": str(PRETRAINED),
    "oodguard policy try": str(PRETRAINED),
    "oodguard-train fit": "recipe.toml --out run",
    "oodguard-train evaluate": "run",
    "oodguard-train export": "run --out bundle",
    "oodguard-train runs": "run",
    "oodguard-train attack": "bundle --out attacked --images 4",
    "oodguard-train wrap": "net.onnx --data colours --out wrapped",
    "oodguard-train quantize": "wrapped --data colours --out int8",
}

NEEDS: Mapping[str, str] = {
    "oodguard keys list": "oodguard keys new",
    "oodguard-train evaluate": "oodguard-train fit",
    "oodguard-train export": "oodguard-train evaluate",
    "oodguard-train runs": "oodguard-train evaluate",
    "oodguard-train attack": "oodguard-train export",
    "oodguard-train quantize": "oodguard-train wrap",
}

LISTS = {"oodguard keys list", "oodguard policy show", "oodguard-train runs"}
"""The commands whose JSON document is an array."""

WITH_PROGRESS = {
    "oodguard predict",
    *("oodguard samples export", "oodguard samples review"),
    *("oodguard-train export", "oodguard-train attack"),
    *("oodguard-train wrap", "oodguard-train quantize"),
}

CONTROL = re.compile(r"[^\n\x20-\x7e\x80-\U0010ffff]|[\x80-\x9f]")
"""Every control character except a line feed."""


def write_inputs(folder: Path) -> None:
    """Write what the commands read."""
    write_tiny(folder / "tiny")
    for number in range(90):
        path = folder / "photos" / ("red", "green", "blue")[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 120, 2 * number)).save(path)
    (folder / "samples").mkdir()
    for number in (1, 2):
        stem = folder / "samples" / STEM.format(number, f"r{number}")
        stem.with_suffix(f"{stem.suffix}.json").write_text(json.dumps(record(number)))
        Image.new("RGB", (8, 8)).save(f"{stem}.png")
    (folder / "state").mkdir()
    state = folder / "state" / "drift-tiny@1.safetensors"
    save_file({"x": np.zeros(1)}, state, metadata={"model": "tiny", "version": "1"})
    (folder / "recipe.toml").write_text(with_own_test_set(RECIPE, folder / "test"))
    exported(folder / "net.onnx", batch=None, network=ConvolvedColourNet)
    draw_folder(folder / "colours", each=1000)


@dataclass(kw_only=True, slots=True)
class Outputs:
    """The commands that have run in one folder, and what they wrote."""

    folder: Path
    terminal: bool
    finished: dict[str, Finished] = field(default_factory=dict)

    def of(self, name: str) -> Finished:
        """Run a command, unless it has run, after those that it needs."""
        if name not in self.finished:
            if name in NEEDS:
                self.of(NEEDS[name])
            program, *words = name.split()
            words += WORDS[name].split()
            with chdir(self.folder):
                if self.terminal:
                    self.finished[name] = run_in_terminal(PROGRAMS[program], words)
                else:
                    self.finished[name] = run_in_pipes(PROGRAMS[program], [*words, "--json"])
        return self.finished[name]


@pytest.fixture(scope="module")
def _quick() -> Iterator[None]:
    """Reduce the work, and print progress from its first part on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oodguard.training.cli.evaluate.SUITES", SHORT_SUITES)
        patch.setattr("oodguard.command_line.progress.FIRST_LINE_S", 0)
        patch.setattr("oodguard.service.drift.drift_cli.TAKEN_WITHIN_S", 0)
        patch.setenv("OODGUARD_WORKERS", "1")
        patch.setenv("TERM", "xterm-256color")
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def piped(_quick: None, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    write_inputs(folder := tmp_path_factory.mktemp("piped"))
    return Outputs(folder=folder, terminal=False)


@pytest.fixture(scope="module")
def colourless(_quick: None, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    write_inputs(folder := tmp_path_factory.mktemp("colourless"))
    return Outputs(folder=folder, terminal=True)


every_command = pytest.mark.parametrize("name", WORDS)


def test_every_command_with_json_is_here() -> None:
    assert set(WORDS) == {each.name for each in COMMANDS if each.has_json}


@every_command
def test_json_is_one_document_alone_on_standard_output(name: str, piped: Outputs) -> None:
    found = piped.of(name)
    assert found.code == 0, found.stderr
    assert isinstance(json.loads(found.stdout), list if name in LISTS else dict)
    assert found.stdout.isascii()


@every_command
def test_output_that_is_no_terminal_has_no_control_characters(name: str, piped: Outputs) -> None:
    found = piped.of(name)
    assert CONTROL.findall(found.stdout + found.stderr) == []
    assert (name not in WITH_PROGRESS) or " left\n" in found.stderr


@every_command
def test_output_without_colours_has_no_control_characters(
    name: str, colourless: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    found = colourless.of(name)
    assert found.code == 0, found.stdout
    assert CONTROL.findall(found.stdout) == []
    assert (name not in WITH_PROGRESS) or " left\n" in found.stdout


def test_output_on_a_terminal_has_colours_and_bars(piped: Outputs) -> None:
    """The tests above would find them."""
    found = run_in_terminal(PROGRAMS["oodguard"], ["predict", str(piped.folder / "photos"), "x"])
    assert "\x1b[31m" in found.stdout
    assert "\r" in found.stdout
