import base64
import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmarks.serving.peers import registry
from benchmarks.serving.peers.registry import HERE, PEERS, SERVERS_IN_PYTHON

PNG = b"\x89PNG picture"
ROOT = Path(__file__).parents[3]


def pins(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    assert all(str(each.specifier).startswith("==") for each in requirements), file
    return {each.name.lower(): str(each.specifier).removeprefix("==") for each in requirements}


def test_peers_have_an_app_and_pinned_requirements_with_the_projects_runtime() -> None:
    assert all((HERE / name / "app.py").is_file() for name in PEERS)
    assert set(SERVERS_IN_PYTHON) < set(PEERS)
    ours = pins(ROOT / "constraints.txt")
    for name in (name for name, peer in PEERS.items() if peer.own_environment):
        pinned = pins(HERE / name / "requirements.txt")
        assert name in pinned
        for package in ("onnxruntime", "pillow", "numpy"):
            assert pinned[package] == ours[package], f"{name} uses another version of {package}"


def test_peer_requests_contain_the_image() -> None:
    bodies = {name: peer.request(PNG).body for name, peer in PEERS.items()}
    found = {
        "litserve": json.loads(bodies["litserve"])["image"],
        "bentoml": json.loads(bodies["bentoml"])["images"][0],
        "mlserver": json.loads(bodies["mlserver"])["inputs"][0]["data"][0],
    }
    assert {base64.b64decode(image) for image in found.values()} == {PNG}
    assert bodies["mosec"] == bodies["starlette"] == PNG


def test_peer_environment_is_created_again_only_if_the_requirements_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []

    def run(*command: str) -> None:
        (tmp_path / "made" / "peer").mkdir(parents=True, exist_ok=True)
        ran.append(command)

    (tmp_path / "peer").mkdir()
    requirements = tmp_path / "peer" / "requirements.txt"
    requirements.write_text("a==1\n")
    monkeypatch.setattr(registry, "HERE", tmp_path)
    monkeypatch.setattr(registry, "_run", run)
    python = registry.interpreter("peer", tmp_path / "made")
    assert python == tmp_path / "made" / "peer" / "bin" / "python"
    assert [command[2] for command in ran] == ["venv", "pip"]
    assert str(requirements) in ran[1]
    registry.interpreter("peer", tmp_path / "made")
    assert len(ran) == 2
    requirements.write_text("a==2\n")
    registry.interpreter("peer", tmp_path / "made")
    assert len(ran) == 4
