"""KServe's own client, as it is published, against a running server.

It wants other versions of what the service uses, so it lives in an environment of its own, which is
made once in the working tree and kept.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.conftest import RunningServer

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PINS = HERE / "kserve.txt"
ENVIRONMENT = HERE.parents[1] / ".venv-kserve"

COLOURS = np.array([[0, 255, 0], [255, 255, 255]], np.uint8)
PIXELS = COLOURS.repeat(64, axis=0).reshape(2, 8, 8, 3)


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with the client in it."""
    interpreter, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "ready.txt"
    if not ready.exists() or ready.read_text() != PINS.read_text():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
            [str(interpreter), "-m", "pip", "install", "--quiet", "--requirement", str(PINS)],
        ):
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"no environment for KServe's client: {made.stderr[-500:]}")
        ready.write_text(PINS.read_text())
    return interpreter


@pytest.fixture(scope="module")
def said(python: Path, shared_server: RunningServer) -> dict[str, Any]:
    """What the client said when it was asked once for everything."""
    asked = {"url": shared_server.url, "model": "tiny", "images": PIXELS.tolist()}
    asking = subprocess.run(
        [python, HERE / "kserve_client.py"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert asking.returncode == 0, asking.stderr
    answer: dict[str, Any] = json.loads(asking.stdout)
    return answer


def test_it_finds_the_server_alive_and_the_model_ready(said: dict[str, Any]) -> None:
    health = {name: said[name] for name in ("live", "ready", "model_ready", "other_ready")}
    assert health == {"live": True, "ready": True, "model_ready": True, "other_ready": False}


@pytest.mark.parametrize("way", ["in_json", "in_bytes"])
def test_it_reads_every_output(said: dict[str, Any], way: str) -> None:
    found = said[way]["outputs"]
    assert said[way]["model"] == "tiny"
    assert said[way]["parameters"]["score"] == "brightness"
    np.testing.assert_allclose(found["logits"], [[0, 10.2, 0], [10.2] * 3], rtol=1e-6)
    assert found["scores"] == [[85, -85], [255, -255]]
    assert found["class_id"] == [1, 0]
    assert found["label"] == ["green", "red"]
    assert found["rejected"] == [False, True]
    np.testing.assert_allclose(found["p_value"], [167 / 251, 1 / 251])
    assert found["confidence"][1] == pytest.approx(1 / 3)


def test_it_reads_the_outputs_that_it_asks_for(said: dict[str, Any]) -> None:
    assert said["chosen"]["id"] == "mine"
    assert said["chosen"]["outputs"] == {
        "label": ["green", "red"],
        "p_value": pytest.approx([167 / 251, 1 / 251]),
    }


def test_it_is_told_what_is_wrong(said: dict[str, Any]) -> None:
    assert said["error"].startswith(
        "the model 'other' is not served, expected one of: tiny (request "
    )
    assert "404" in said["error"]
