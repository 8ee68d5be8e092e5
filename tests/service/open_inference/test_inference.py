"""Inference: outputs computed by hand from the tiny graph, as JSON and as binary tensors."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from httpx2 import Response
from numpy.typing import NDArray
from starlette.testclient import TestClient

from oodguard.service.inference.session import ModelSession
from oodguard.service.open_inference.request import MAX_JSON_VALUES
from oodguard.service.responses import COARSE_P_VALUES
from tests.service.checks import metric, post_pixels
from tests.service.conftest import MakeClient
from tests.service.open_inference.inference_client import (
    ALL,
    PATH,
    error_of,
    images,
    parsed,
    pixels,
    post_binary,
    post_json,
    post_with_bytes,
)
from tests.service.pictures import BLACK, GREEN, RED, WHITE

Send = Callable[..., Response]

BOTH = pytest.mark.parametrize("send", [post_json, post_binary])


@BOTH
def test_infer_returns_outputs_of_graph_and_calibration(client: TestClient, send: Send) -> None:
    found = parsed(send(client, pixels(RED, WHITE)))
    assert tuple(found.values) == ALL
    # Logits are channel means divided by 25; brightness is the mean of the channels.
    np.testing.assert_allclose(found.values["logits"], [[10.2, 0, 0], [10.2] * 3], rtol=1e-6)
    np.testing.assert_array_equal(found.values["scores"], [[85, -85], [255, -255]])
    assert found.values["class_id"].tolist() == [0, 0]
    assert found.values["label"] == ["red", "red"]
    # Calibration scores are 1 to 250: 166 of them are no smaller than 85, none than 255.
    assert found.values["rejected"].tolist() == [False, True]
    assert found.values["reasons"] == ["", "unlike_classes"]  # three classes of 1/3 each
    np.testing.assert_allclose(found.values["p_value"], [167 / 251, 1 / 251])
    np.testing.assert_allclose(
        found.values["confidence"], [1 / (1 + 2 * math.exp(-10.2)), 1 / 3], rtol=1e-6
    )


@BOTH
def test_infer_response_has_model_policy_and_request_id(client: TestClient, send: Send) -> None:
    answer = parsed(send(client, pixels(RED), id="mine")).response
    (model,) = client.get("/models").json()["models"]
    assert (answer.model_name, answer.model_version, answer.id) == ("tiny", "1", "mine")
    policy = {key: model["policy"][key] for key in ("score", "alpha", "delta", "threshold")}
    assert answer.parameters == {"sha256": model["sha256"], **policy}


def test_infer_response_omits_parameters_that_are_none(make_client: MakeClient) -> None:
    answer = parsed(post_json(make_client(delta=None), pixels(RED)))
    assert "delta" not in answer.response.parameters
    assert answer.response.id is None


def noise(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("n", [1, 7, 64, 200])
def test_infer_with_bytes_or_json_equals_predict(client: TestClient, n: int) -> None:
    values = noise(n)
    binary, json = parsed(post_binary(client, values)), parsed(post_json(client, values))
    for name in ALL:
        np.testing.assert_array_equal(binary.values[name], json.values[name])
    predictions = post_pixels(client, values.tobytes(), f"{n},8,8,3").json()["predictions"]
    assert [each["label"] for each in predictions] == binary.values["label"]
    assert [each["p_value"] for each in predictions] == binary.values["p_value"].tolist()
    brightness = [each["scores"]["brightness"] for each in predictions]
    assert brightness == binary.values["scores"][:, 0].tolist()
    # Independent of the graph: the mean of integers in float64.
    np.testing.assert_allclose(brightness, values.mean(axis=(1, 2, 3)), rtol=1e-6)


def test_infer_returns_more_images_than_a_batch_in_order(make_client: MakeClient) -> None:
    values = noise(11)
    found = parsed(post_binary(make_client(max_batch=4), values)).values
    np.testing.assert_allclose(
        found["logits"], values.mean(axis=(1, 2)).astype(np.float32) / 25, rtol=1e-5
    )


def test_infer_returns_the_requested_outputs_in_order(client: TestClient) -> None:
    outputs = [
        {"name": "label", "parameters": {"binary_data": True}},
        {"name": "rejected"},
        {"name": "p_value", "parameters": {"binary_data": True}},
    ]
    response = post_json(client, pixels(GREEN, WHITE), outputs=outputs)
    found = parsed(response)
    assert list(found.values) == ["label", "rejected", "p_value"]
    by_name = {output.name: output for output in found.response.outputs}
    # 4 bytes of length and 5 of "green"; 4 and 3 of "red".
    assert by_name["label"].parameters == {"binary_data_size": 16}
    assert by_name["rejected"].data == [False, True]
    assert by_name["p_value"].parameters == {"binary_data_size": 16}
    assert found.values["label"] == ["green", "red"]


def test_binary_data_output_is_the_default_that_an_output_can_override(client: TestClient) -> None:
    parameters = {"binary_data_output": True}
    everything = parsed(post_binary(client, pixels(RED), parameters=parameters))
    assert all(output.data is None for output in everything.response.outputs)
    outputs = [{"name": "class_id"}, {"name": "label", "parameters": {"binary_data": False}}]
    two = parsed(post_binary(client, pixels(RED), parameters=parameters, outputs=outputs))
    assert [output.data for output in two.response.outputs] == [None, ["red"]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_null_in_json_exact_in_bytes_and_rejected(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def broken(_: ModelSession, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        logits = np.full((len(images), 3), value, np.float32)
        return logits, np.full((len(images), 2), math.nan, np.float32)

    parameters = {"binary_data_output": True}
    with monkeypatch.context() as patch:
        patch.setattr(ModelSession, "_run", broken)
        json = parsed(post_json(client, pixels(RED))).response.outputs
        binary = parsed(post_json(client, pixels(RED), parameters=parameters)).values
    assert json[0].data == [None] * 3
    assert json[1].data == [None] * 2
    np.testing.assert_array_equal(binary["logits"], [[value] * 3])
    assert np.isnan(binary["scores"]).all()
    assert binary["rejected"].tolist() == [True]


def test_infer_ignores_null_and_unknown_members(client: TestClient) -> None:
    values = pixels(RED)
    tensor = images(values, data=values.tolist(), parameters=None, content_type="np")
    body = {
        "id": None,
        "parameters": {"sequence_id": 7, "priority": 1, "timeout": 0, "binary_data_output": None},
        "inputs": [tensor],
        "outputs": [],
        "model_name": "tiny",
    }
    found = parsed(client.post(PATH, json=body))
    assert tuple(found.values) == ALL


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/octet-stream", "Application/JSON; charset=x"]
)
def test_infer_accepts_both_content_types(client: TestClient, content_type: str) -> None:
    values = pixels(RED)
    tensor = images(values, parameters={"binary_data_size": values.size})
    headers = {"content-type": content_type}
    response = post_with_bytes(client, {"inputs": [tensor]}, values.tobytes(), **headers)
    assert parsed(response).values["label"] == ["red"]


def test_infer_accepts_json_of_the_maximum_number_of_values(make_client: MakeClient) -> None:
    # Numbers and lists of one image: 192 + 64 + 8 + 1.
    n = MAX_JSON_VALUES // 265 - 1
    found = parsed(post_json(make_client(max_images=n), noise(n)))
    assert found.values["logits"].shape == (n, 3)


def test_infer_is_counted_in_the_metrics(client: TestClient) -> None:
    parsed(post_binary(client, pixels(RED, WHITE, BLACK)))
    text = client.get("/metrics").text
    assert metric(text, "oodguard_decisions_total", decision="reject") == 1
    assert metric(text, "oodguard_decisions_total", decision="accept") == 2
    assert metric(text, "oodguard_requests_total", route="/v2/models/{name}/infer") == 1


@pytest.fixture
def terse(make_client: MakeClient) -> TestClient:
    return make_client(detail="verdict")


def test_detail_verdict_returns_the_verdict_and_a_coarse_p_value(terse: TestClient) -> None:
    found = parsed(post_binary(terse, pixels(GREEN, WHITE)))
    assert tuple(found.values) == ("class_id", "label", "rejected", "p_value")
    assert found.values["label"] == ["green", "red"]
    assert found.values["rejected"].tolist() == [False, True]
    # p is 167 / 251 and 1 / 251: rounded up to the next level, the second to alpha.
    assert found.values["p_value"].tolist() == [1.0, 0.05]
    assert set(found.values["p_value"]) <= set(COARSE_P_VALUES)
    assert set(found.response.parameters) == {"sha256", "score", "alpha", "delta"}


@pytest.mark.parametrize("name", ["logits", "scores", "confidence", "reasons"])
def test_detail_verdict_rejects_withheld_outputs_as_unknown(terse: TestClient, name: str) -> None:
    text = error_of(post_json(terse, pixels(BLACK), outputs=[{"name": name}]), 422)
    assert (
        f"outputs[0].name is '{name}', expected one of: class_id, label, rejected, p_value" in text
    )
