"""Reasons in the responses and the metrics, and decisions at a false-discovery rate."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from oodguard.models.bundle import write_bundle
from oodguard.models.qualities import measure
from oodguard.models.reasons import ReasonCode
from oodguard.service.api.schemas import Prediction, PredictResponse
from oodguard.service.drift.monitor import DriftMonitor
from tests.service.checks import metric, post, post_pixels, predictions, problem
from tests.service.conftest import MakeClient
from tests.service.graphs import SIZE
from tests.service.pictures import RED, WHITE, encode, plain
from tests.service.tiny import CALIBRATION_IMAGES, write_tiny

# Independent pixels have no blur at all: a constant image is blurred compared with them.
FLAT = ["blank", "too_bright", "low_contrast", "blurred"]

REASONS = "oodguard_rejection_reasons_total"


@pytest.fixture
def explained(tmp_path: Path, make_client: MakeClient) -> TestClient:
    """Return a client of a bundle whose calibration images are noise of 8 x 8 pixels."""
    random = np.random.default_rng(0)
    levels = random.integers(60, 200, (CALIBRATION_IMAGES, SIZE, SIZE, 3)).astype(np.uint8)
    folder = tmp_path / "explained"
    write_tiny(folder, qualities=measure(levels, [(SIZE, SIZE)] * len(levels)))
    return make_client(bundle=folder, max_images=300)


def codes(prediction: Prediction) -> list[str]:
    return [reason.code for reason in prediction.reasons]


def test_reasons_of_a_white_image_are_in_the_response(explained: TestClient) -> None:
    (white,) = predictions(post(explained, encode(plain(WHITE))))
    assert codes(white) == FLAT
    bright = white.reasons[1]
    assert bright.value == pytest.approx(255)
    assert bright.range is not None
    assert bright.range[1] is not None
    assert bright.range[1] < 200
    (red,) = predictions(post(explained, encode(plain(RED))))
    assert (red.decision, red.reasons) == ("accept", [])


def test_reasons_know_the_size_of_files_and_not_of_pixels(explained: TestClient) -> None:
    (wide,) = predictions(post(explained, encode(plain(WHITE, size=(64, 16)))))
    assert codes(wide)[-2:] == ["unusual_aspect", "unusual_size"]
    raw = np.full((1, 16, 64, 3), 255, np.uint8)
    (pixels,) = predictions(post_pixels(explained, raw.tobytes(), "1,16,64,3"))
    assert codes(pixels) == [*FLAT, "repeated"]


def test_reasons_name_the_classes_if_the_bundle_has_no_qualities(client: TestClient) -> None:
    (white,) = predictions(post(client, encode(plain(WHITE))))
    assert codes(white) == ["unlike_classes"]  # three classes of 1/3 each
    (yellow,) = predictions(post(client, encode(plain((255, 254, 232)))))
    assert codes(yellow) == ["between_classes"]
    assert "red and green" in yellow.reasons[0].detail


def test_reasons_of_many_images_are_those_of_single_ones(explained: TestClient) -> None:
    """More pixels than are explained in the event loop."""
    raw = np.full((300, SIZE, SIZE, 3), 255, np.uint8)
    raw[7] = 0
    found = predictions(post_pixels(explained, raw.tobytes(), f"300,{SIZE},{SIZE},3"))
    assert (found[7].decision, found[7].reasons) == ("accept", [])
    assert codes(found[0]) == FLAT
    assert codes(found[299]) == [*FLAT, "repeated"]
    assert found[299].reasons[-1].value == 298
    text = explained.get("/metrics").text
    assert metric(text, REASONS, reason="too_bright") == 299
    assert metric(text, REASONS, reason="repeated") == 298


def test_reasons_have_a_series_each_from_the_start(client: TestClient) -> None:
    text = client.get("/metrics").text
    for code in get_args(ReasonCode):
        assert f'{REASONS}{{model="tiny",reason="{code}",version="1"}} 0.0' in text


def test_reasons_are_absent_under_verdict_detail(make_client: MakeClient) -> None:
    client = make_client(detail="verdict")
    response = post(client, encode(plain(WHITE)))
    assert "reasons" not in response.text
    assert REASONS not in client.get("/metrics").text


def send(client: TestClient, levels: list[int], *rates: str) -> PredictResponse:
    """Send grey images, whose brightness is their level and p-value (251 - level) / 251."""
    pixels = np.repeat(np.array(levels, np.uint8), SIZE * SIZE * 3).tobytes()
    headers = [
        ("content-type", "application/octet-stream"),
        ("x-shape", f"{len(levels)},{SIZE},{SIZE},3"),
    ]
    response = client.post(
        "/predict", content=pixels, headers=[*headers, *(("X-FDR", rate) for rate in rates)]
    )
    predictions(response)
    return PredictResponse.model_validate_json(response.content)


def decisions(response: PredictResponse) -> str:
    return "".join(each.decision[0] for each in response.predictions)


def test_false_discovery_header_decides_about_all_images_together(client: TestClient) -> None:
    """The p-values of 255, 241 and 231 are 1, 11 and 21 of 251: .004, .044 and .084.

    At q = .12, the limits of four images are .03, .06, .09 and .12.
    """
    levels = [255, 241, 231, 10]
    by_policy = send(client, levels)
    assert decisions(by_policy) == "raaa"
    assert by_policy.policy.fdr is None
    together = send(client, levels, "0.12")
    assert decisions(together) == "rrra"
    assert together.policy.fdr == 0.12
    assert [bool(each.reasons) for each in together.predictions] == [True, True, True, False]
    assert decisions(send(client, levels, "0.1")) == "rraa"
    assert decisions(send(client, levels, "0.01")) == "aaaa"


def test_false_discovery_header_on_one_image_compares_its_p_value(client: TestClient) -> None:
    assert decisions(send(client, [231], "0.084")) == "r"
    assert decisions(send(client, [231], "0.083")) == "a"


def test_false_discovery_metrics_count_the_decisions_of_the_response(client: TestClient) -> None:
    send(client, [231], "0.084")
    text = client.get("/metrics").text
    assert metric(text, "oodguard_decisions_total", decision="reject") == 1
    assert metric(text, REASONS) == 1


def test_false_discovery_decisions_do_not_change_the_drift_test_of_the_rejection_rate(
    make_client: MakeClient,
) -> None:
    """It compares scores with the policy's threshold, on whose rate its guarantee rests."""
    evidence = []
    for rates in ([], ["0.5"]):
        client = make_client()
        answer = send(client, [231] * 50, *rates)
        assert decisions(answer) == ("r" if rates else "a") * 50
        client.__exit__()
        text = client.get("/metrics").text
        evidence.append(metric(text, "oodguard_rejection_log_martingale"))
    assert evidence[0] == evidence[1] < 0


@pytest.mark.parametrize("rate", ["x", "0", "1", "NaN", "1e-1", "-0.1", ""])
def test_false_discovery_header_must_be_a_number_between_0_and_1(
    client: TestClient, rate: str
) -> None:
    answer = problem(post(client, encode(plain()), **{"x-fdr": rate}), 422, "wrong-fields")
    assert answer.detail == f'X-FDR is "{rate}", expected a number above 0 and below 1'


def test_false_discovery_header_must_be_able_to_reject(client: TestClient) -> None:
    answer = problem(post(client, encode(plain()), **{"x-fdr": "0.003"}), 422, "wrong-fields")
    assert "expected at least 1 / 251 = 0.00398" in answer.detail


def test_false_discovery_header_must_be_given_once(client: TestClient) -> None:
    headers = [("content-type", "image/png"), ("x-fdr", "0.1"), ("X-FDR", "0.1")]
    response = client.post("/predict", content=encode(plain()), headers=headers)
    assert problem(response, 422, "wrong-fields").detail == "X-FDR is given 2 times, expected once"


def test_false_discovery_header_is_rejected_under_verdict_detail(make_client: MakeClient) -> None:
    """By decisions at several rates, a client would find the p-value of an image."""
    response = post(make_client(detail="verdict"), encode(plain()), **{"x-fdr": "0.1"})
    assert "OODGUARD_DETAIL is verdict" in problem(response, 422, "wrong-fields").detail


def test_false_discovery_header_applies_to_open_inference(client: TestClient) -> None:
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3]}
    body = {
        "inputs": [{**tensor, "data": [231] * (SIZE * SIZE * 3)}],
        "outputs": [{"name": "rejected"}],
    }
    path = "/v2/models/tiny/infer"
    assert client.post(path, json=body).json()["outputs"][0]["data"] == [False]
    answer = client.post(path, json=body, headers={"x-fdr": "0.084"}).json()
    assert answer["outputs"][0]["data"] == [True]
    assert answer["parameters"]["fdr"] == 0.084


def test_false_discovery_rate_is_in_the_stored_sample(
    make_client: MakeClient, tmp_path: Path
) -> None:
    folder = tmp_path / "samples"
    client = make_client(sample_to=str(folder), sample_rate=1)
    send(client, [231], "0.084")
    client.__exit__()
    (file,) = folder.glob("*.json")
    record = json.loads(file.read_bytes())
    assert record["policy"]["fdr"] == 0.084
    assert record["verdict"]["decision"] == "reject"
    assert [each["code"] for each in record["verdict"]["reasons"]] == ["unlike_classes"]


def test_false_discovery_rate_of_a_client_does_not_reach_the_drift_tests(
    tmp_path: Path, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By class, the test of rejections needs the decisions: those of the policy."""
    tiny = write_tiny(tmp_path / "scores")
    rows = replace(tiny.rows, predicted=np.zeros(len(tiny.rows), np.int32))
    folder = tmp_path / "by-class"
    write_bundle(
        folder,
        description=tiny.manifest,
        model=tiny.model,
        calibration=rows,
        evaluation=tiny.evaluation,
        card=tiny.card,
    )
    seen: list[list[bool]] = []

    def add(_self: DriftMonitor, _scores: object, rejected: NDArray[np.bool_]) -> None:
        seen.append(rejected.tolist())

    monkeypatch.setattr(DriftMonitor, "add", add)
    client = make_client(bundle=folder, by_class=True)
    decided = [decisions(send(client, [255, 241, 10], *rate)) for rate in ((), ("0.9",), ("0.01",))]
    assert decided == ["raa", "rra", "aaa"]
    assert seen == [[True, False, False]] * 3
