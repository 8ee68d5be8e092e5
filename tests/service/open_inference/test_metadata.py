"""Health and metadata, as the protocol's clients ask for them."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.service.app import create_app
from oodguard.service.readiness import Readiness
from oodguard.service.settings import Settings
from tests.service.conftest import MakeClient
from tests.service.open_inference.speaking import answered, post_json, refused
from tests.service.open_inference.speaking import pixels as plain
from tests.service.pictures import RED


def test_the_server_names_itself_and_the_extension_that_it_speaks(client: TestClient) -> None:
    answer = client.get("/v2").json()
    version = client.get("/openapi.json").json()["info"]["version"]
    assert answer == {
        "name": "ood-guard",
        "version": version,
        "extensions": ["binary_tensor_data"],
    }


@pytest.mark.parametrize("path", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_a_model_lists_every_tensor_with_its_type_and_shape(client: TestClient, path: str) -> None:
    assert client.get(path).json() == {
        "name": "tiny",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 8, 8, 3]}],
        "outputs": [
            {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "scores", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "class_id", "datatype": "INT64", "shape": [-1]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "rejected", "datatype": "BOOL", "shape": [-1]},
            {"name": "p_value", "datatype": "FP64", "shape": [-1]},
            {"name": "confidence", "datatype": "FP64", "shape": [-1]},
        ],
    }


@pytest.mark.parametrize("detail", ["full", "verdict"])
def test_what_is_told_is_what_the_metadata_list(make_client: MakeClient, detail: str) -> None:
    client = make_client(detail=detail)
    listed = client.get("/v2/models/tiny").json()["outputs"]
    told = answered(post_json(client, plain(RED, RED, RED))).response.outputs
    assert [(each.name, each.datatype, [-1, *each.shape[1:]]) for each in told] == [
        (each["name"], each["datatype"], each["shape"]) for each in listed
    ]
    assert {each.shape[0] for each in told} == {3}


def test_health_is_told_in_words_and_by_status(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/models/tiny/ready", "/v2/models/tiny/versions/1/ready"):
        assert client.get(path).json() == {"name": "tiny", "ready": True}


def test_before_it_is_warm_and_while_it_drains_it_is_alive_and_not_ready(
    bundle_folder: Path,
) -> None:
    readiness = Readiness()
    client = TestClient(create_app(Settings(bundle=bundle_folder), readiness))
    assert client.get("/v2/health/live").status_code == 200
    for path in ("/v2/health/ready", "/v2/models/tiny/ready"):
        assert "starting" in refused(client.get(path), 503)
    assert "starting" in refused(client.get("/v2/models/tiny"), 503)
    assert "starting" in refused(post_json(client, plain(RED)), 503)
    readiness.warm()
    readiness.drain()
    for path in ("/v2/health/ready", "/v2/models/tiny/ready"):
        response = client.get(path)
        assert "draining" in refused(response, 503)
        assert response.headers["retry-after"] == "1"
    assert client.get("/v2/models/tiny").status_code == 200
    assert answered(post_json(client, plain(RED))).values["label"] == ["red"]


@pytest.mark.parametrize("rest", ["", "/ready", "/infer"])
@pytest.mark.parametrize(
    ("model", "names"),
    [("other", "the model 'other' is not served"), ("tiny/versions/2", "no version '2'")],
)
def test_a_model_that_is_not_there_is_an_error(
    client: TestClient, model: str, names: str, rest: str
) -> None:
    method = "POST" if rest == "/infer" else "GET"
    assert names in refused(client.request(method, f"/v2/models/{model}{rest}"), 404)


@pytest.mark.parametrize("path", ["/v2/", "/v2/models", "/v2/models/tiny/config", "/v2/nothing"])
def test_whatever_is_not_under_v2_is_an_error_of_the_protocol(
    client: TestClient, path: str
) -> None:
    assert path in refused(client.get(path), 404)


def test_a_path_that_only_looks_alike_is_answered_with_a_problem(client: TestClient) -> None:
    response = client.get("/v22/models")
    assert response.headers["content-type"] == "application/problem+json"


def test_a_wrong_method_is_an_error_that_names_the_right_one(client: TestClient) -> None:
    response = client.get("/v2/models/tiny/infer")
    assert "expected POST" in refused(response, 405)
    assert response.headers["allow"] == "POST"
