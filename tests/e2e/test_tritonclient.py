"""The published Triton client against a running server."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.e2e.conftest import RunningServer

Client: TypeAlias = triton.InferenceServerClient

COLOURS = np.array([[255, 0, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
PIXELS: NDArray[np.uint8] = COLOURS.repeat(64, axis=0).reshape(3, 8, 8, 3)


@pytest.fixture
def client(shared_server: RunningServer) -> Iterator[Client]:
    client = Client(shared_server.url.removeprefix("http://"), concurrency=4)
    yield client
    client.close()


def images(*, binary: bool, values: NDArray[np.uint8] = PIXELS) -> list[triton.InferInput]:
    tensor = triton.InferInput("images", list(values.shape), "UINT8")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return [tensor]


def check(result: triton.InferResult) -> None:
    """Compare with the outputs of the tiny graph for red, blue and white, derived by hand."""
    expected: dict[str, tuple[str, Any]] = {
        "logits": ("float32", [[10.2, 0, 0], [0, 0, 10.2], [10.2] * 3]),
        "scores": ("float32", [[85, -85], [85, -85], [255, -255]]),
        "class_id": ("int64", [0, 2, 0]),
        "rejected": ("bool", [False, False, True]),
        "p_value": ("float64", [167 / 251, 167 / 251, 1 / 251]),
    }
    for name, (dtype, values) in expected.items():
        found = result.as_numpy(name)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, values, rtol=1e-6)
    labels = [label if isinstance(label, str) else label.decode() for label in strings(result)]
    assert labels == ["red", "blue", "red"]
    assert result.as_numpy("confidence")[2] == pytest.approx(1 / 3)


def strings(result: triton.InferResult) -> list[str | bytes]:
    found: list[str | bytes] = result.as_numpy("label").tolist()
    return found


def test_triton_client_reads_health_and_metadata(client: Client) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "2")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("tiny")
    assert metadata == client.get_model_metadata("tiny", "1")
    assert metadata["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 8, 8, 3]}]


@pytest.mark.parametrize("version", ["", "1"])
@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_reads_every_output(client: Client, version: str, *, binary: bool) -> None:
    result = client.infer("tiny", images(binary=binary), version, request_id="mine")
    check(result)
    response = result.get_response()
    assert (response["id"], response["model_version"]) == ("mine", "1")
    assert [output["name"] for output in response["outputs"]] == [
        output["name"] for output in client.get_model_metadata("tiny")["outputs"]
    ]


@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_reads_selected_outputs_in_its_order(client: Client, *, binary: bool) -> None:
    names = [output["name"] for output in client.get_model_metadata("tiny")["outputs"]]
    # In reverse order, alternating between binary and JSON.
    selected = [
        triton.InferRequestedOutput(name, binary_data=binary == bool(place % 2))
        for place, name in enumerate(reversed(names))
    ]
    result = client.infer("tiny", images(binary=True), outputs=selected)
    assert [output["name"] for output in result.get_response()["outputs"]] == names[::-1]
    check(result)


def test_triton_client_gets_the_response_to_each_parallel_request(client: Client) -> None:
    levels = list(range(0, 200, 10))
    pending = [
        client.async_infer(
            "tiny", images(binary=True, values=np.full((2, 8, 8, 3), level, np.uint8))
        )
        for level in levels
    ]
    for level, each in zip(levels, pending, strict=True):
        np.testing.assert_allclose(each.get_result().as_numpy("scores")[:, 0], [level, level])


def test_triton_client_reads_errors(client: Client) -> None:
    small = np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(InferenceServerException, match=r"\[n, 8, 8, 3\]") as wrong:
        client.infer("tiny", images(binary=True, values=small))
    assert wrong.value.status() == "422"
    with pytest.raises(InferenceServerException, match="the model 'other' is not served"):
        client.infer("other", images(binary=True))
    top = [triton.InferRequestedOutput("logits", class_count=2)]
    with pytest.raises(InferenceServerException, match="classification is 2, expected null"):
        client.infer("tiny", images(binary=True), outputs=top)
    with pytest.raises(InferenceServerException, match=r"Content-Encoding is .gzip"):
        client.infer("tiny", images(binary=True), request_compression_algorithm="gzip")
    with pytest.raises(InferenceServerException, match=r"no response within") as late:
        client.infer("tiny", images(binary=True), timeout=1)
    assert late.value.status() == "504"
    check(client.infer("tiny", images(binary=True), timeout=60_000_000))
