"""The examples of docs/client.md run against a server of the packaged bundle."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import oodguard.client
from oodguard.client import ClientError
from oodguard.service.settings import default_bundle
from tests.e2e.conftest import serving

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
SHIP = "tests/data/cifar10/ship/00588.png"


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(default_bundle(), log, {"OODGUARD_WORKERS": 1}) as server:
        yield f"127.0.0.1:{server.port}"


def output(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_client_page_examples_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {"__name__": "example"}
    outputs = []
    for example in examples("python"):
        exec(example.replace("localhost:8000", address), names)  # noqa: S102 - our own page
        outputs.append(capsys.readouterr().out.splitlines())
    first, many, skipping, asynchronous, errors = outputs
    assert re.fullmatch(r"ship accept 0\.\d+ cifar10-aloe", first[0])
    assert many
    assert all(line.startswith("tests/data/textures/") for line in many)
    # The invalid images are reported in their places.
    assert skipping[0] == "0 ship"
    assert skipping[1].startswith("README.md: ")
    assert skipping[2].startswith("missing.png: the file cannot be read: No such file")
    assert asynchronous == ["ship"]
    assert re.fullmatch(r"README\.md the \d+ bytes are not an image, .*", errors[0])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="requires node")
def test_client_page_example_in_javascript_runs(address: str, tmp_path: Path) -> None:
    (example,) = examples("js")
    script = tmp_path / "example.mjs"
    script.write_text(example.replace("localhost:8000", address))
    assert output(["node", str(script)]) == "ship accept\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("go") is None, reason="requires go")
def test_client_page_example_in_go_runs(address: str, tmp_path: Path) -> None:
    (example,) = examples("go")
    script = tmp_path / "example.go"
    script.write_text(example.replace("localhost:8000", address))
    assert output(["go", "run", str(script)]) == "ship accept\n"


def test_client_page_names_every_direct_error() -> None:
    errors = {each.__name__ for each in ClientError.__subclasses__()}
    assert errors <= set(re.findall(r"`(\w+)`", PAGE))
    named = set(re.findall(r"`(\w+Error)`", PAGE)) - {"RuntimeError", "TypeError", "ValueError"}
    assert named <= set(oodguard.client.__all__)
