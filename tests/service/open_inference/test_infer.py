"""What the protocol's clients are told of images, worked out by hand from the tiny graph."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from httpx2 import Response
from numpy.typing import NDArray
from starlette.testclient import TestClient

from oodguard.service.inference.session import ModelSession
from oodguard.service.open_inference.request import MOST_MARKS
from tests.service.conftest import MakeClient
from tests.service.open_inference.speaking import (
    ALL,
    LENGTH,
    PATH,
    answered,
    images,
    post_behind,
    post_binary,
    post_json,
)
from tests.service.open_inference.speaking import pixels as plain
from tests.service.pictures import BLACK, BLUE, GREEN, RED, WHITE

Send = Callable[..., Response]

BOTH = pytest.mark.parametrize("send", [post_json, post_binary])


@BOTH
def test_logits_scores_and_verdict_are_those_of_the_graph_and_of_the_calibration(
    client: TestClient, send: Send
) -> None:
    found = answered(send(client, plain(RED, WHITE)))
    assert tuple(found.values) == ALL
    # Logits are channel means divided by 25; brightness is the mean of the channels.
    np.testing.assert_allclose(found.values["logits"], [[10.2, 0, 0], [10.2] * 3], rtol=1e-6)
    np.testing.assert_array_equal(found.values["scores"], [[85, -85], [255, -255]])
    assert found.values["class_id"].tolist() == [0, 0]
    assert found.values["label"] == ["red", "red"]
    # Calibration scores are 1 to 250: 166 of them are no smaller than 85, none than 255.
    assert found.values["rejected"].tolist() == [False, True]
    np.testing.assert_allclose(found.values["p_value"], [167 / 251, 1 / 251])
    np.testing.assert_allclose(
        found.values["confidence"], [1 / (1 + 2 * math.exp(-10.2)), 1 / 3], rtol=1e-6
    )


@BOTH
def test_the_answer_says_by_which_model_and_policy_and_gives_the_id_back(
    client: TestClient, send: Send
) -> None:
    answer = answered(send(client, plain(RED), id="mine")).response
    (model,) = client.get("/models").json()["models"]
    assert (answer.model_name, answer.model_version, answer.id) == ("tiny", "1", "mine")
    policy = {key: model["policy"][key] for key in ("score", "alpha", "delta", "threshold")}
    assert answer.parameters == {"sha256": model["sha256"], **policy}


def test_a_policy_without_delta_says_none_as_the_protocol_has_no_null(
    make_client: MakeClient,
) -> None:
    answer = answered(post_json(make_client(delta=None), plain(RED)))
    assert "delta" not in answer.response.parameters
    assert answer.response.id is None


def test_a_version_can_be_named(client: TestClient) -> None:
    values = plain(GREEN)
    body = {"inputs": [images(values, data=values.tolist())]}
    found = answered(client.post("/v2/models/tiny/versions/1/infer", json=body))
    assert found.values["label"] == ["green"]


def test_numbers_may_come_in_one_list(client: TestClient) -> None:
    values = plain(BLUE, GREEN)
    body = {"inputs": [images(values, data=values.ravel().tolist())]}
    assert answered(client.post(PATH, json=body)).values["label"] == ["blue", "green"]


def noise(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("n", [1, 7, 64, 200])
def test_bytes_nested_lists_and_predict_say_the_same_of_as_many_images_as_come(
    client: TestClient, n: int
) -> None:
    values = noise(n)
    behind, within = answered(post_binary(client, values)), answered(post_json(client, values))
    for name in ALL:
        np.testing.assert_array_equal(behind.values[name], within.values[name])
    headers = {"content-type": "application/octet-stream", "x-shape": f"{n},8,8,3"}
    response = client.post("/predict", content=values.tobytes(), headers=headers)
    predictions = response.json()["predictions"]
    assert [each["label"] for each in predictions] == behind.values["label"]
    assert [each["p_value"] for each in predictions] == behind.values["p_value"].tolist()
    brightness = [each["scores"]["brightness"] for each in predictions]
    assert brightness == behind.values["scores"][:, 0].tolist()
    # Not the graph's arithmetic: the mean of integers in float64.
    np.testing.assert_allclose(brightness, values.mean(axis=(1, 2, 3)), rtol=1e-6)


def test_more_images_than_a_batch_are_judged_in_parts_and_joined_in_order(
    make_client: MakeClient,
) -> None:
    values = noise(11)
    found = answered(post_binary(make_client(max_batch=4), values)).values
    np.testing.assert_allclose(
        found["logits"], values.mean(axis=(1, 2)).astype(np.float32) / 25, rtol=1e-5
    )


def test_only_what_is_asked_for_is_told_in_that_order_and_way(client: TestClient) -> None:
    outputs = [
        {"name": "label", "parameters": {"binary_data": True}},
        {"name": "rejected"},
        {"name": "p_value", "parameters": {"binary_data": True}},
    ]
    response = post_json(client, plain(GREEN, WHITE), outputs=outputs)
    found = answered(response)
    assert list(found.values) == ["label", "rejected", "p_value"]
    by_name = {output.name: output for output in found.response.outputs}
    # 4 bytes of length and 5 of "green"; 4 and 3 of "red".
    assert by_name["label"].parameters == {"binary_data_size": 16}
    assert by_name["rejected"].data == [False, True]
    assert by_name["p_value"].parameters == {"binary_data_size": 16}
    assert found.values["label"] == ["green", "red"]


def test_all_outputs_are_binary_where_the_request_says_so_and_an_output_may_differ(
    client: TestClient,
) -> None:
    parameters = {"binary_data_output": True}
    everything = answered(post_binary(client, plain(RED), parameters=parameters))
    assert all(output.data is None for output in everything.response.outputs)
    outputs = [{"name": "class_id"}, {"name": "label", "parameters": {"binary_data": False}}]
    two = answered(post_binary(client, plain(RED), parameters=parameters, outputs=outputs))
    assert [output.data for output in two.response.outputs] == [None, ["red"]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_null_in_json_exact_in_bytes_and_rejected(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def broken(_: ModelSession, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        logits = np.full((len(images), 3), value, np.float32)
        return logits, np.full((len(images), 2), math.nan, np.float32)

    monkeypatch.setattr(ModelSession, "_run", broken)
    within = answered(post_json(client, plain(RED))).response.outputs
    assert within[0].data == [None] * 3
    assert within[1].data == [None] * 2
    parameters = {"binary_data_output": True}
    behind = answered(post_json(client, plain(RED), parameters=parameters)).values
    np.testing.assert_array_equal(behind["logits"], [[value] * 3])
    assert np.isnan(behind["scores"]).all()
    assert behind["rejected"].tolist() == [True]


def test_null_is_as_good_as_absent_and_what_is_not_known_is_ignored(client: TestClient) -> None:
    values = plain(RED)
    tensor = images(values, data=values.tolist(), parameters=None, content_type="np")
    body = {
        "id": None,
        "parameters": {"sequence_id": 7, "priority": 1, "timeout": 0, "binary_data_output": None},
        "inputs": [tensor],
        "outputs": [],
        "model_name": "tiny",
    }
    found = answered(client.post(PATH, json=body))
    assert tuple(found.values) == ALL


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/octet-stream", "Application/JSON; charset=x"]
)
def test_either_content_type_is_taken(client: TestClient, content_type: str) -> None:
    values = plain(RED)
    tensor = images(values, parameters={"binary_data_size": values.size})
    headers = {"content-type": content_type}
    response = post_behind(client, {"inputs": [tensor]}, values.tobytes(), **headers)
    assert answered(response).values["label"] == ["red"]


def test_json_of_as_many_values_as_are_read_is_read(make_client: MakeClient) -> None:
    # Numbers and lists of one image: 192 + 64 + 8 + 1.
    n = MOST_MARKS // 265 - 1
    found = answered(post_json(make_client(max_images=n), noise(n)))
    assert found.values["logits"].shape == (n, 3)


def test_what_is_judged_is_counted_like_any_other_request(client: TestClient) -> None:
    answered(post_binary(client, plain(RED, WHITE, BLACK)))
    text = client.get("/metrics").text
    assert 'oodguard_decisions_total{decision="reject",model="tiny",version="1"} 1.0' in text
    assert 'oodguard_decisions_total{decision="accept",model="tiny",version="1"} 2.0' in text
    assert 'route="/v2/models/{name}/infer"' in text


def test_the_length_of_the_json_is_told_exactly(client: TestClient) -> None:
    response = post_binary(client, plain(RED), parameters={"binary_data_output": True})
    length = int(response.headers[LENGTH])
    assert response.content[length - 1 : length] == b"}"
    # Logits, scores, class, "red" behind its length, rejected, p-value, confidence.
    assert len(response.content) - length == 3 * 4 + 2 * 4 + 8 + (4 + 3) + 1 + 8 + 8
