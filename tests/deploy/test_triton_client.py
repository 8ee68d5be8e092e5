"""The Triton client example and the code on the page decide as the service does."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tritonclient.http import InferenceServerClient, InferInput

from benchmarks.shipped import NAMES, PRETRAINED
from examples.triton import client as example
from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel, RunGraph
from oodguard.models.calibration import images_required
from oodguard.models.decision import Policy
from oodguard.models.errors import CalibrationError
from oodguard.models.preprocessing import prepare
from oodguard.training.scoring.parity import onnx_run
from tests.e2e.conftest import RunningServer, serving
from tests.service.checks import DOCS

DATA = DOCS.parent / "tests" / "data"
IMAGES = [
    *sorted((DATA / "cifar10").rglob("*.png"))[::4],
    *sorted((DATA / "textures").glob("*.png")),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The service, which implements Triton's protocol and returns the graph's outputs."""
    log = tmp_path_factory.mktemp("triton") / "server.log"
    with serving(PRETRAINED / "cifar10-aloe", log) as running:
        yield running


def prepared(bundle: Bundle) -> NDArray[np.uint8]:
    return np.stack([prepare(Image.open(path), bundle.manifest.input) for path in IMAGES])


def test_triton_client_decides_as_the_service(server: RunningServer) -> None:
    bundle = open_bundle(server.bundle)
    images = prepared(bundle)
    client = InferenceServerClient(server.url.removeprefix("http://"))
    policy = Policy(score=bundle.manifest.default_score)
    guard = CalibratedModel(bundle, policy, example.remote(client, "cifar10-aloe"))
    verdicts = guard.predict(images).arrays

    tensor = InferInput("images", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images)
    response = client.infer("cifar10-aloe", [tensor])
    client.close()
    np.testing.assert_array_equal(verdicts.rejected, response.as_numpy("rejected"))
    np.testing.assert_array_equal(verdicts.p_values, response.as_numpy("p_value"))
    np.testing.assert_array_equal(verdicts.class_ids, response.as_numpy("class_id"))
    assert set(verdicts.rejected.tolist()) == {True, False}


def test_triton_client_prints_one_verdict_per_image(server: RunningServer) -> None:
    known, other = DATA / "cifar10/ship/00588.png", DATA / "textures/00057.png"
    address = server.url.removeprefix("http://")
    done = subprocess.run(
        [sys.executable, example.__file__, address, server.bundle, known, other],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ship, texture = done.stdout.splitlines()
    assert re.fullmatch(rf"{known}: ship, p = 0\.\d{{4}}, accept", ship)
    assert re.fullmatch(rf"{other}: \w+, p = 0\.\d{{4}}, reject", texture)


def code_block(place: int) -> str:
    """Return a block of Python code of the page."""
    page = (DOCS / "other-runtimes.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return blocks[place]


def execute(code: str, **given: Any) -> dict[str, Any]:
    """Execute code with some variables and return all variables."""
    variables = dict(given)
    exec(compile(code, "other-runtimes.md", "exec"), variables)  # noqa: S102 - the page's own code
    return variables


def returning(bundle: Bundle, scores: NDArray[np.float32]) -> RunGraph:
    """Return a graph that returns these scores for any images."""
    return lambda images: (
        np.zeros((len(images), len(bundle.manifest.classes)), np.float32),
        scores,
    )


@pytest.mark.parametrize("delta", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("name", NAMES)
def test_page_code_without_this_package_decides_as_the_guard(
    name: str, alpha: float, delta: float
) -> None:
    bundle = open_bundle(PRETRAINED / name)
    score = bundle.manifest.default_score
    column = bundle.manifest.scores.index(score)
    # Every calibration score, because ties are the difficult case, and non-finite values.
    ties = [*bundle.calibration[score], np.nan, np.inf, -np.inf]
    scores = np.zeros((len(ties), len(bundle.manifest.scores)), np.float32)
    scores[:, column] = ties
    policy = Policy(score=score, alpha=alpha, delta=delta)
    given = {"folder": PRETRAINED / name, "scores": scores, "alpha": alpha, "delta": delta}
    if (bundle.rows.group_count or len(bundle.rows.scores[score])) < images_required(alpha, delta):
        with pytest.raises(ValueError, match="too few"):
            execute(code_block(1), **given)
        return
    guard = CalibratedModel(bundle, policy, returning(bundle, scores))
    size = bundle.manifest.input
    expected = guard.predict(np.zeros((len(ties), size.height, size.width, 3), np.uint8)).arrays

    result = execute(code_block(1), **given)
    assert result["threshold"] == guard.threshold
    np.testing.assert_array_equal(result["rejected"], expected.rejected)
    np.testing.assert_array_equal(result["p_values"], expected.p_values)
    assert result["rejected"][-3:].tolist() == [True, True, False]


def test_page_code_without_this_package_rejects_the_policies_that_the_guard_rejects() -> None:
    bundle = open_bundle(PRETRAINED / "cifar10-aloe")
    policy = Policy(score=bundle.manifest.default_score, alpha=0.001, delta=0.001)
    with pytest.raises(CalibrationError, match="too few"):
        CalibratedModel(bundle, policy, returning(bundle, np.zeros((0, 1), np.float32)))
    with pytest.raises(ValueError, match="too few"):
        execute(code_block(1), folder=PRETRAINED / "cifar10-aloe", alpha=0.001, delta=0.001)


def test_page_code_with_this_package_accepts_any_function_that_runs_the_graph() -> None:
    bundle = open_bundle(PRETRAINED / "cifar10-aloe")
    images = prepared(bundle)
    given = {"folder": PRETRAINED / "cifar10-aloe", "run": onnx_run(bundle.model)}
    verdicts = execute(code_block(0), images=images, **given)["verdicts"]
    assert len(verdicts) == len(IMAGES)
    decisions = [each.decision for each in verdicts]
    known = sum("cifar10" in path.parts for path in IMAGES)
    assert decisions[:known].count("accept") > known / 2
    assert decisions[known:].count("reject") > (len(IMAGES) - known) / 2
