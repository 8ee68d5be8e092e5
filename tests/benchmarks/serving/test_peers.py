"""Peers are pinned, serve with the same runtime, and are asked about the same picture."""

import base64
import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmarks.serving.peers import environments
from benchmarks.serving.peers.registry import HERE, PEERS, SERVERS_IN_PYTHON

PNG = b"\x89PNG picture"
VERSIONS = {"litserve": "0.2.19", "bentoml": "1.4.39", "mlserver": "1.7.1", "mosec": "0.9.8"}
ROOT = Path(__file__).parents[3]


def pins(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    wanted = [Requirement(line) for line in lines]
    assert all(str(each.specifier).startswith("==") for each in wanted), f"{file} leaves some open"
    return {each.name.lower(): str(each.specifier).removeprefix("==") for each in wanted}


def test_every_peer_that_needs_packages_pins_them_all() -> None:
    assert {name for name, peer in PEERS.items() if peer.own_environment} == set(VERSIONS)
    ours = pins(ROOT / "constraints.txt")
    for name, version in VERSIONS.items():
        pinned = pins(HERE / name / "requirements.txt")
        assert pinned[name] == version
        for package in ("onnxruntime", "pillow", "numpy"):
            assert pinned[package] == ours[package], f"{name} measures another {package}"


def test_every_peer_has_an_app() -> None:
    assert all((HERE / name / "app.py").is_file() for name in PEERS)
    assert set(SERVERS_IN_PYTHON) < set(PEERS)


def test_every_peer_is_asked_about_the_picture() -> None:
    bodies = {name: peer.ask(PNG).body for name, peer in PEERS.items()}
    found = {
        "litserve": json.loads(bodies["litserve"])["image"],
        "bentoml": json.loads(bodies["bentoml"])["images"][0],
        "mlserver": json.loads(bodies["mlserver"])["inputs"][0]["data"][0],
    }
    assert {base64.b64decode(image) for image in found.values()} == {PNG}
    assert bodies["mosec"] == bodies["starlette"] == PNG


def test_an_environment_is_made_once_and_again_when_its_requirements_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []

    def run(*command: str) -> None:
        (tmp_path / "made" / "peer").mkdir(parents=True, exist_ok=True)
        ran.append(command)

    (tmp_path / "peer").mkdir()
    requirements = tmp_path / "peer" / "requirements.txt"
    requirements.write_text("a==1\n")
    monkeypatch.setattr(environments, "HERE", tmp_path)
    monkeypatch.setattr(environments, "_run", run)
    python = environments.python_of("peer", tmp_path / "made")
    assert python == tmp_path / "made" / "peer" / "bin" / "python"
    assert [command[2] for command in ran] == ["venv", "pip"]
    assert str(requirements) in ran[1]
    environments.python_of("peer", tmp_path / "made")
    assert len(ran) == 2
    requirements.write_text("a==2\n")
    environments.python_of("peer", tmp_path / "made")
    assert len(ran) == 4
