"""The published KServe client against a running server.

The client needs other versions of the service's dependencies, so it has a separate environment,
which is created once in the working tree.
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
    """The interpreter of an environment with the client."""
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
def results(python: Path, shared_server: RunningServer) -> dict[str, Any]:
    """All results of one run of the client."""
    options = {"url": shared_server.url, "model": "tiny", "images": PIXELS.tolist()}
    client = subprocess.run(
        [python, HERE / "kserve_client.py"],
        input=json.dumps(options),
        capture_output=True,
        text=True,
        check=False,
    )
    assert client.returncode == 0, client.stderr
    output: dict[str, Any] = json.loads(client.stdout)
    return output


def test_kserve_client_reads_health_and_errors(results: dict[str, Any]) -> None:
    assert results["health"] == [True, True, True, False]
    assert results["error"].startswith(
        "the model 'other' is not served, expected one of: tiny (request "
    )
    assert "404" in results["error"]


@pytest.mark.parametrize("form", ["in_json", "in_bytes"])
def test_kserve_client_reads_every_output(results: dict[str, Any], form: str) -> None:
    found = results[form]["outputs"]
    assert results[form]["model"] == "tiny"
    assert results[form]["parameters"]["score"] == "brightness"
    np.testing.assert_allclose(found["logits"], [[0, 10.2, 0], [10.2] * 3], rtol=1e-6)
    assert found["scores"] == [[85, -85], [255, -255]]
    assert found["class_id"] == [1, 0]
    assert found["label"] == ["green", "red"]
    assert found["rejected"] == [False, True]
    np.testing.assert_allclose(found["p_value"], [167 / 251, 1 / 251])
    assert found["confidence"][1] == pytest.approx(1 / 3)


def test_kserve_client_reads_selected_outputs(results: dict[str, Any]) -> None:
    assert results["selected"]["id"] == "mine"
    assert results["selected"]["outputs"] == {
        "label": ["green", "red"],
        "p_value": pytest.approx([167 / 251, 1 / 251]),
    }
