"""The model's input, without an effect on the model's metrics, and thresholds over alpha."""

import asyncio
import base64
import io
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import beta
from starlette.testclient import TestClient

from oodguard.models.bundle import open_bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.policy_thresholds import policy_thresholds
from oodguard.service.playground import inspect
from oodguard.service.playground.schemas import BareInspection, Inspection, ThresholdGrid
from oodguard.service.playground.threshold_grid import histogram, threshold_grid
from tests.conftest import rows_bundle
from tests.service.checks import post, problem
from tests.service.conftest import Issued, MakeClient
from tests.service.graphs import SIZE
from tests.service.pictures import BLUE, RED, encode, halves, plain
from tests.service.tiny import CALIBRATION_IMAGES

INSPECT = "/models/tiny/versions/1/inspect"
THRESHOLDS = "/models/tiny/versions/1/thresholds"


def metric_lines(client: TestClient) -> list[str]:
    names = ("oodguard_decisions", "oodguard_score", "oodguard_p_value", "oodguard_predicted")
    return [each for each in client.get("/metrics").text.splitlines() if each.startswith(names)]


def test_inspect_returns_the_verdict_and_the_pixels_of_the_model(client: TestClient) -> None:
    picture = halves(RED, BLUE).resize((SIZE, SIZE))
    found = Inspection.model_validate_json(post(client, encode(picture), path=INSPECT).content)
    predicted = post(client, encode(picture)).json()
    assert found.model_dump(mode="json")["predictions"] == predicted["predictions"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.input))))
    assert np.array_equal(pixels, np.asarray(picture))
    assert found.classes[0].label == found.predictions[0].label
    confidences = [each.confidence for each in found.classes if each.confidence is not None]
    assert math.isclose(sum(confidences), 1, rel_tol=1e-6)  # three classes, all shown
    assert confidences == sorted(confidences, reverse=True)


def test_inspect_counts_nothing(client: TestClient) -> None:
    before = metric_lines(client)
    assert before
    raw = np.zeros((5, SIZE, SIZE, 3), np.uint8).tobytes()
    shape = {"x-shape": f"5,{SIZE},{SIZE},3"}
    response = post(client, raw, "application/octet-stream", path=INSPECT, **shape)
    assert len(response.json()["predictions"]) == 5
    assert metric_lines(client) == before


def test_inspect_does_not_sample_and_does_not_remember_rejections(
    make_client: MakeClient, tmp_path: Path
) -> None:
    folder = tmp_path / "samples"
    client = make_client(sample_rate=1, sample_accept_rate=1, sample_to=str(folder))
    image = encode(plain((255, 255, 255)))
    post(client, image, path=INSPECT)
    (prediction,) = post(client, image, path=INSPECT).json()["predictions"]
    assert prediction["decision"] == "reject"
    assert "repeated" not in [each["code"] for each in prediction["reasons"]]
    client.__exit__()
    assert list(folder.iterdir()) == []


def test_inspect_has_the_problems_of_predict(client: TestClient) -> None:
    problem(post(client, b"text", path=INSPECT), 400, "undecodable-image")
    problem(post(client, b"text", "text/plain", path=INSPECT), 415, "unsupported-content")
    path = "/models/tiny/versions/9/inspect"
    problem(post(client, encode(plain()), path=path), 404, "unknown-model")


def test_inspect_draws_within_the_concurrency_limit(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that waits for a thread keeps its images in memory."""
    entered, opened = threading.Event(), threading.Event()

    def hold(_pixels: object) -> str:
        entered.set()
        assert opened.wait(20)
        return ""

    monkeypatch.setattr(inspect, "_base64_png", hold)
    client = make_client(max_pending=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client, encode(plain()), path=INSPECT)
        assert entered.wait(20)
        rejected = post(client, encode(plain()))
        opened.set()
        assert first.result().json()["input"] == ""
    problem(rejected, 429, "overloaded")


def test_inspect_under_verdict_detail_has_no_scores(make_client: MakeClient) -> None:
    client = make_client(detail="verdict")
    response = post(client, encode(plain()), path=INSPECT)
    assert BareInspection.model_validate_json(response.content).predictions[0].label == "red"
    assert "classes" not in response.json()
    problem(client.get(THRESHOLDS), 404, "not-found")


def test_inspect_and_thresholds_require_the_role_predict(
    secured: TestClient, issued: Issued
) -> None:
    problem(secured.get(THRESHOLDS), 401, "key-missing")
    problem(secured.get(THRESHOLDS, headers=issued["metrics"].headers), 403, "role-missing")
    assert secured.get(THRESHOLDS, headers=issued["predict"].headers).status_code == 200
    problem(post(secured, b"", path=INSPECT), 401, "key-missing")


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.1, 0.5])
def test_thresholds_are_those_of_the_policy_at_each_alpha(client: TestClient, alpha: float) -> None:
    grid = ThresholdGrid.model_validate_json(client.get(THRESHOLDS).content)
    assert (grid.score, grid.alpha) == ("brightness", 0.05)
    n = CALIBRATION_IMAGES  # whose scores are 1, 2, ... n
    ranks = [k for k in range(1, n + 1) if beta.cdf(alpha, k, n + 1 - k) >= 0.95]
    (outcome,) = (each for each in grid.outcomes if each.alpha == alpha)
    assert outcome.threshold == n + 1 - max(ranks)
    assert outcome.rejected == (max(ranks) - 1) / n
    assert outcome.missed == {}


def test_thresholds_omit_an_alpha_with_too_few_calibration_images(client: TestClient) -> None:
    grid = ThresholdGrid.model_validate_json(client.get(THRESHOLDS).content)
    # With delta 0.05, at least log(.05) / log(1 - alpha) images are needed: 299 for 1 %.
    assert min(each.alpha for each in grid.outcomes) == 0.02


@pytest.mark.anyio
async def test_thresholds_are_computed_once_for_all_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if the request that began the computation is cancelled; an error is not kept."""
    calls = []
    entered, opened = threading.Event(), threading.Event()

    def grid(deployment: object) -> bytes:
        calls.append(deployment)
        if len(calls) == 1:
            raise RuntimeError("first")
        entered.set()
        assert opened.wait(20)
        return b"{}"

    monkeypatch.setattr(inspect, "_grid", grid)

    class Model:
        """Anything that can be a key of a weak dictionary."""

    model = Model()
    predictor = SimpleNamespace(deployment=lambda _request: model)
    router = inspect.inspect_router(predictor, "full")  # type: ignore[arg-type]
    thresholds = next(each for each in router.routes if each.path == inspect.THRESHOLDS_PATH)  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError):
        await thresholds.endpoint(None)  # type: ignore[attr-defined]
    waiting = [asyncio.create_task(thresholds.endpoint(None)) for _ in range(3)]  # type: ignore[attr-defined]
    assert await asyncio.to_thread(entered.wait, 20)
    waiting[0].cancel()
    opened.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [getattr(each, "body", None) for each in found] == [None, b"{}", b"{}"]
    assert calls == [model, model]


def test_thresholds_contain_the_policy_and_its_thresholds_by_class(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    predicted = np.repeat(np.arange(3, dtype=np.int32), (600, 300, 5))
    scores = rng.normal(predicted, 1).astype(np.float32)
    rows = CalibrationRows(scores={"energy": scores}, predicted=predicted)
    bundle = rows_bundle(tmp_path / "rows", rows)
    policy = Policy(score="energy", alpha=0.033, by_class=True)
    thresholds = policy_thresholds(bundle, policy)
    grid = ThresholdGrid.model_validate(threshold_grid(bundle, policy, thresholds))
    (outcome,) = (each for each in grid.outcomes if each.alpha == 0.033)
    assert outcome.threshold is None
    assert outcome.class_thresholds is not None
    for label, limit in enumerate(outcome.class_thresholds):
        one = np.array([label])
        assert not thresholds.rejects(np.array([limit]), one)[0]
        assert thresholds.rejects(np.array([np.nextafter(limit, np.inf)]), one)[0]


def test_thresholds_have_the_misses_that_the_evaluation_measured(pretrained: Path) -> None:
    bundle = open_bundle(pretrained / "cifar10-aloe")
    policy = Policy(score="abstain")
    grid = threshold_grid(bundle, policy, policy_thresholds(bundle, policy))
    known = {each["alpha"]: each["missed"] for each in grid["outcomes"]}
    assert known[0.05]["ood_textures"] == pytest.approx(0.075)


def test_thresholds_have_the_misses_at_every_alpha_from_the_scores_of_the_evaluation(
    pretrained: Path,
) -> None:
    bundle = open_bundle(pretrained / "cifar10-aloe")
    policy = Policy(score="abstain")
    grid = threshold_grid(bundle, policy, policy_thresholds(bundle, policy))
    results: Any = bundle.evaluation["results"]
    scores = results[0]["conditions"][0]["scores"]["sets"]
    assert len(grid["outcomes"]) > 25
    for outcome in grid["outcomes"]:
        limit = outcome["threshold"]
        expected = {name: np.mean(np.array(found) <= limit) for name, found in scores.items()}
        assert outcome["missed"] == pytest.approx(expected)


def test_thresholds_have_the_aurocs_of_the_evaluation(pretrained: Path) -> None:
    bundle = open_bundle(pretrained / "cifar10-aloe")
    policy = Policy(score="abstain")
    grid = threshold_grid(bundle, policy, policy_thresholds(bundle, policy))
    found = {each["epsilon_255"]: round(each["auroc"], 3) for each in grid["aurocs"]}
    # The row `cifar10-aloe`, suite `standard`, of README.
    assert found == {0: 0.953, 1: 0.916, 2: 0.862, 4: 0.696, 8: 0.292}


def test_score_histogram_counts_the_tails_in_the_outer_bins() -> None:
    scores = np.concatenate([np.linspace(0, 1, 5000), [-1e6, 1e6]]).astype(np.float32)
    found = histogram(scores)
    assert sum(found["counts"]) == found["images"] == 5002
    assert -0.1 < found["edges"][0] < found["edges"][-1] < 1.1


def test_score_histogram_of_one_value_has_a_width() -> None:
    found = histogram(np.full(10, 3.0, np.float32))
    assert found["edges"][0] < 3 < found["edges"][-1]
    assert sum(found["counts"]) == 10
