"""Health and metadata of the protocol, and the documentation page."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.service.app import create_app
from oodguard.service.open_inference.request import MAX_JSON_VALUES
from oodguard.service.open_inference.schemas import MAX_ID_LENGTH
from oodguard.service.readiness import Readiness
from oodguard.service.settings import Settings
from tests.service.checks import DOCS
from tests.service.conftest import MakeClient
from tests.service.open_inference.inference_client import ALL, error_of, parsed, pixels, post_json
from tests.service.pictures import RED

PAGE = (DOCS / "open-inference-protocol.md").read_text(encoding="utf-8")


def test_server_metadata_has_the_name_version_and_extensions(client: TestClient) -> None:
    answer = client.get("/v2").json()
    version = client.get("/openapi.json").json()["info"]["version"]
    extensions = ["binary_tensor_data"]
    assert answer == {"name": "ood-guard", "version": version, "extensions": extensions}


@pytest.mark.parametrize("path", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_model_metadata_has_every_tensor_with_type_and_shape(client: TestClient, path: str) -> None:
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
            {"name": "reasons", "datatype": "BYTES", "shape": [-1]},
        ],
    }


@pytest.mark.parametrize("detail", ["full", "verdict"])
def test_infer_returns_the_outputs_in_the_metadata(make_client: MakeClient, detail: str) -> None:
    client = make_client(detail=detail)
    listed = client.get("/v2/models/tiny").json()["outputs"]
    returned = parsed(post_json(client, pixels(RED, RED, RED))).response.outputs
    assert [(each.name, each.datatype, [-1, *each.shape[1:]]) for each in returned] == [
        (each["name"], each["datatype"], each["shape"]) for each in listed
    ]
    assert {each.shape[0] for each in returned} == {3}


def test_health_routes_return_200_when_ready(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/models/tiny/ready", "/v2/models/tiny/versions/1/ready"):
        assert client.get(path).json() == {"name": "tiny", "ready": True}


def test_health_is_live_and_not_ready_while_starting_and_draining(bundle_folder: Path) -> None:
    readiness = Readiness()
    client = TestClient(create_app(Settings(bundle=bundle_folder), readiness))
    assert client.get("/v2/health/live").status_code == 200
    for path in ("/v2/health/ready", "/v2/models/tiny/ready"):
        assert "starting" in error_of(client.get(path), 503)
    assert "starting" in error_of(client.get("/v2/models/tiny"), 503)
    assert "starting" in error_of(post_json(client, pixels(RED)), 503)
    readiness.warm()
    readiness.drain()
    for path in ("/v2/health/ready", "/v2/models/tiny/ready"):
        response = client.get(path)
        assert "draining" in error_of(response, 503)
        assert response.headers["retry-after"] == "1"
    assert client.get("/v2/models/tiny").status_code == 200
    assert parsed(post_json(client, pixels(RED))).values["label"] == ["red"]


@pytest.mark.parametrize("rest", ["", "/ready", "/infer"])
@pytest.mark.parametrize(
    ("model", "names"),
    [("other", "the model 'other' is not served"), ("tiny/versions/2", "no version '2'")],
)
def test_returns_404_for_an_unknown_model_or_version(
    client: TestClient, model: str, names: str, rest: str
) -> None:
    method = "POST" if rest == "/infer" else "GET"
    assert names in error_of(client.request(method, f"/v2/models/{model}{rest}"), 404)


@pytest.mark.parametrize("path", ["/v2/", "/v2/models", "/v2/models/tiny/config", "/v2/nothing"])
def test_returns_a_protocol_error_for_unknown_paths_under_v2(client: TestClient, path: str) -> None:
    assert path in error_of(client.get(path), 404)


def test_returns_a_problem_for_a_path_outside_v2(client: TestClient) -> None:
    response = client.get("/v22/models")
    assert response.headers["content-type"] == "application/problem+json"


def test_returns_405_with_the_allowed_method(client: TestClient) -> None:
    response = client.get("/v2/models/tiny/infer")
    assert "expected POST" in error_of(response, 405)
    assert response.headers["allow"] == "POST"


def test_documented_outputs_are_those_of_the_metadata(client: TestClient) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([A-Z0-9]+) \| `\[n(?:, ([KS]))?\]` \|", PAGE, re.MULTILINE)
    assert tuple(row[0] for row in rows) == ALL
    free = {"": [], "K": [3], "S": [2]}
    listed = client.get("/v2/models/tiny").json()["outputs"]
    assert listed == [
        {"name": name, "datatype": datatype, "shape": [-1, *free[side]]}
        for name, datatype, side in rows
    ]


def test_documented_routes_are_those_of_the_description(client: TestClient) -> None:
    documented = set(re.findall(r"^\| `(?:GET|POST) (/v2\S*)` \|", PAGE, re.MULTILINE))
    paths = client.get("/openapi.json").json()["paths"]
    named = {path.replace("/versions/{version}", "") for path in paths if path.startswith("/v2")}
    assert documented == named


def test_documented_limits_are_those_of_the_code() -> None:
    assert f"more than {MAX_JSON_VALUES:,} numbers and lists" in PAGE
    assert f"at most {MAX_ID_LENGTH} characters" in PAGE
