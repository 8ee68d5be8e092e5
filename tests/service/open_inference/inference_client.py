"""Inference requests to the tiny graph, and parsed responses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from httpx2 import Response
from numpy.typing import NDArray
from starlette.testclient import TestClient

from oodguard.service.open_inference.schemas import InferResponse, OipError

PATH = "/v2/models/tiny/infer"
LENGTH = "Inference-Header-Content-Length"
ALL = ("logits", "scores", "class_id", "label", "rejected", "p_value", "confidence", "reasons")
DTYPES: Mapping[str, str] = {
    "BOOL": "?",
    "FP32": "<f4",
    "FP64": "<f8",
    "INT64": "<i8",
}


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """A valid response, with each output as an array or as a list of strings."""

    response: InferResponse
    values: Mapping[str, Any]


def pixels(*colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return one image of 8 x 8 pixels for each colour."""
    return np.array(colours, np.uint8).repeat(64, axis=0).reshape(-1, 8, 8, 3)


def images(values: NDArray[np.uint8], **rest: Any) -> dict[str, Any]:
    """Return the tensor `images` without its data."""
    return {"name": "images", "datatype": "UINT8", "shape": list(values.shape), **rest}


def post_json(client: TestClient, values: NDArray[np.uint8], **rest: Any) -> Response:
    """Send a tensor as nested arrays."""
    return client.post(PATH, json={"inputs": [images(values, data=values.tolist())], **rest})


def post_binary(client: TestClient, values: NDArray[np.uint8], **rest: Any) -> Response:
    """Send a tensor as bytes after the JSON."""
    tensor = images(values, parameters={"binary_data_size": values.size})
    return post_with_bytes(client, {"inputs": [tensor], **rest}, values.tobytes())


def post_with_bytes(client: TestClient, request: object, binary: bytes, **headers: str) -> Response:
    """Send JSON followed by bytes."""
    text = json.dumps(request).encode()
    return client.post(PATH, content=text + binary, headers={LENGTH: str(len(text)), **headers})


def parsed(response: Response) -> Parsed:
    """Parse a response, and check that it conforms to the protocol."""
    assert response.status_code == 200, response.text
    length = response.headers.get(LENGTH)
    kind = "application/json" if length is None else "application/octet-stream"
    assert response.headers["content-type"] == kind
    end = len(response.content) if length is None else int(length)
    shape = InferResponse.model_validate_json(response.content[:end])
    values = {}
    for output in shape.outputs:
        size = (output.parameters or {}).get("binary_data_size")
        if size is None:
            values[output.name] = _of_json(output.datatype, output.shape, output.data)
        else:
            assert output.data is None
            data, end = response.content[end : end + int(size)], end + int(size)
            assert len(data) == int(size)
            values[output.name] = _of_bytes(output.datatype, output.shape, data)
    assert end == len(response.content)
    return Parsed(response=shape, values=values)


def error_of(response: Response, status: int) -> str:
    """Return the text of an error that conforms to the protocol and has the request id."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    text = OipError.model_validate_json(response.content).error
    assert text.endswith(f"(request {response.headers['x-request-id']})")
    return text


def _of_json(datatype: str, shape: list[int], data: Any) -> Any:
    if datatype == "BYTES":
        assert [len(data)] == shape
        return data
    return np.array(data, DTYPES[datatype]).reshape(shape)


def _of_bytes(datatype: str, shape: list[int], data: bytes) -> Any:
    if datatype != "BYTES":
        return np.frombuffer(data, DTYPES[datatype]).reshape(shape)
    strings = []
    while data:
        length = int.from_bytes(data[:4], "little")
        strings.append(data[4 : 4 + length].decode())
        data = data[4 + length :]
    assert [len(strings)] == shape
    return strings
