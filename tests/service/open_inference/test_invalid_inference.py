"""Invalid inference requests: an error in the protocol's format, and the next one is served."""

import json
from collections.abc import Iterator
from reprlib import repr as short
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from oodguard.service.json_text import MAX_FREE_BYTES
from oodguard.service.open_inference import request as tensors
from oodguard.service.open_inference.request import MAX_JSON_OBJECTS, MAX_JSON_VALUES
from tests.service.checks import still_serves
from tests.service.conftest import MakeClient
from tests.service.open_inference.inference_client import (
    LENGTH,
    PATH,
    error_of,
    images,
    parsed,
    pixels,
    post_binary,
    post_json,
    post_with_bytes,
)
from tests.service.pictures import RED

VALUES = pixels(RED)
FLAT = VALUES.ravel().tolist()
NESTED = VALUES.tolist()
SIZE = {"binary_data_size": 192}


def tensor(**changes: Any) -> dict[str, Any]:
    """Return the valid tensor with some members changed; None removes one."""
    whole = {**images(VALUES, data=FLAT), **changes}
    return {key: value for key, value in whole.items() if value is not None}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([], "the request is [], expected an object"),
        ({}, "inputs is missing"),
        ({"inputs": {}}, "inputs is {}, expected an array"),
        ({"inputs": []}, "inputs is [], expected a length of at least 1"),
        ({"inputs": [tensor(), tensor()]}, "expected a length of at most 1"),
        ({"inputs": [7]}, "inputs[0] is 7, expected an object"),
        ({"inputs": [tensor(name=None)]}, "inputs[0].name is missing"),
        ({"inputs": [tensor(name="x")]}, "inputs[0].name is 'x', expected 'images'"),
        ({"inputs": [tensor(name=1)]}, "inputs[0].name is 1, expected 'images'"),
        ({"inputs": [tensor(datatype="FP32")]}, "datatype is 'FP32', expected 'UINT8'"),
        ({"inputs": [tensor(shape=None)]}, "inputs[0].shape is missing"),
        ({"inputs": [tensor(shape=[8, 8, 3])]}, "inputs[0].shape[3] is missing"),
        ({"inputs": [tensor(shape=[1, 8, 8, 3, 1])]}, "8, 3, 1], expected a length of at most 4"),
        ({"inputs": [tensor(shape=[1, 3, 8, 8])]}, "inputs[0].shape[3] is 8, expected 3"),
        ({"inputs": [tensor(shape=[1, 8, 9, 3])]}, "[1, 8, 9, 3], expected [n, 8, 8, 3]"),
        ({"inputs": [tensor(shape=[0, 8, 8, 3])]}, "shape[0] is 0, expected at least 1"),
        ({"inputs": [tensor(shape=[-1, 8, 8, 3])]}, "shape[0] is -1, expected at least 1"),
        ({"inputs": [tensor(shape=[True, 8, 8, 3])]}, "is true, expected a whole number"),
        ({"inputs": [tensor(shape=[1, 8.0, 8, 3])]}, "shape[1] is 8.0, expected a whole number"),
        ({"inputs": [tensor(shape=["1", 8, 8, 3])]}, "shape[0] is '1', expected a whole number"),
        ({"inputs": [tensor(shape="1,8,8,3")]}, "shape is '1,8,8,3', expected an array"),
        ({"inputs": [tensor(shape=[2, 8, 8, 3])]}, "expected 384 numbers"),
        ({"inputs": [tensor(shape=[10**18, 8, 8, 3])]}, "expected 192000000000000000000 numbers"),
        ({"inputs": [tensor(data=None)]}, "inputs[0] has neither, expected either data or"),
        ({"inputs": [tensor(parameters=SIZE)]}, "inputs[0] has both, expected either data or"),
        ({"inputs": [tensor(data="AAAA")]}, "inputs[0].data is 'AAAA', expected an array"),
        ({"inputs": [tensor(data=[])]}, "inputs[0].data is [], expected 192 numbers"),
        ({"inputs": [tensor(data=FLAT[1:])]}, "expected 192 numbers"),
        ({"inputs": [tensor(data=[*FLAT, 0])]}, "expected 192 numbers"),
        ({"inputs": [tensor(data=NESTED[0])]}, "nested by the shape [1, 8, 8, 3]"),
        ({"inputs": [tensor(data=[NESTED])]}, "nested by the shape [1, 8, 8, 3]"),
        ({"inputs": [tensor(data=[[[FLAT]]])]}, "nested by the shape [1, 8, 8, 3]"),
        ({"inputs": [tensor(data=[NESTED[0], 1])]}, "nested by the shape [1, 8, 8, 3]"),
        ({"inputs": [tensor(parameters=[])]}, "inputs[0].parameters is [], expected an object"),
        (
            {"inputs": [tensor(data=None, parameters={"binary_data_size": True})]},
            "inputs[0].parameters.binary_data_size is true, expected a whole number",
        ),
        (
            {"inputs": [tensor(data=None, parameters=SIZE)]},
            "0 bytes follow the JSON and binary_data_size is 192, expected 192",
        ),
        (
            {"inputs": [tensor(data=None, parameters={"shared_memory_region": "x"})]},
            "inputs[0].parameters.shared_memory_region is 'x', expected null, because the service",
        ),
    ],
)
def test_invalid_tensor_is_rejected_with_received_and_expected(
    client: TestClient, body: Any, text: str
) -> None:
    assert text in error_of(client.post(PATH, json=body), 422)


@pytest.mark.parametrize("value", [256, -1, 10**18, 1e30, 0.5, "1", None, []])
def test_data_other_than_integers_from_0_to_255_is_rejected(client: TestClient, value: Any) -> None:
    response = client.post(PATH, json={"inputs": [tensor(data=[*FLAT[1:], value])]})
    expected = f"data has the value {short(value)}, expected whole numbers from 0 to 255"
    assert expected in error_of(response, 422)


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_data_with_a_boolean_in_place_of_a_number_is_rejected(
    client: TestClient, *, nested: bool, value: bool
) -> None:
    numbers: Any = [*FLAT[1:], value]
    if nested:
        numbers = np.array(numbers, object).reshape(1, 8, 8, 3).tolist()
    response = client.post(PATH, json={"inputs": [tensor(data=numbers)]})
    expected = f"data has the value {json.dumps(value)}, expected whole numbers from 0 to 255"
    assert expected in error_of(response, 422)


def test_data_of_numbers_is_accepted_with_boolean_parameters(client: TestClient) -> None:
    body = {"inputs": [tensor(data=FLAT)], "parameters": {"binary_data_output": False}}
    assert client.post(PATH, json=body).status_code == 200


@pytest.mark.parametrize(
    ("rest", "text"),
    [
        ({"id": 7}, "id is 7, expected a string"),
        ({"id": "x" * 257}, "expected at most 256 characters"),
        ({"parameters": 1}, "parameters is 1, expected an object"),
        ({"parameters": {"timeout": -1}}, "parameters.timeout is -1, expected at least 0"),
        ({"parameters": {"timeout": 0.5}}, "parameters.timeout is 0.5, expected a whole number"),
        ({"parameters": {"timeout": True}}, "parameters.timeout is true, expected a whole number"),
        (
            {"parameters": {"binary_data_output": 1}},
            "binary_data_output is 1, expected true or false",
        ),
        ({"outputs": {}}, "outputs is {}, expected an array"),
        ({"outputs": ["label"]}, "outputs[0] is 'label', expected an object"),
        ({"outputs": [{}]}, "outputs[0].name is missing"),
        ({"outputs": [{"name": "x"}]}, "outputs[0].name is 'x', expected one of: logits, scores,"),
        ({"outputs": [{"name": "label"}] * 2}, "outputs has label twice"),
        (
            {"outputs": [{"name": "logits", "parameters": {"classification": 2}}]},
            "outputs[0].parameters.classification is 2, expected null, because the service",
        ),
        (
            {"outputs": [{"name": "logits", "parameters": {"shared_memory_region": "x"}}]},
            "outputs[0].parameters.shared_memory_region is 'x', expected null",
        ),
        (
            {"outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
            "outputs[0].parameters.binary_data is 'yes', expected true or false",
        ),
    ],
)
def test_invalid_member_is_rejected_with_received_and_expected(
    client: TestClient, rest: dict[str, Any], text: str
) -> None:
    assert text in error_of(post_json(client, VALUES, **rest), 422)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"inputs": [', id="truncated"),
        pytest.param(b'{"inputs": [NaN]}', id="NaN"),
        pytest.param(b'{"inputs": [Infinity]}', id="Infinity"),
        pytest.param(b'{"id": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"inputs":' + b"[" * 5_000, id="deeply nested"),
        pytest.param(VALUES.tobytes(), id="the tensor alone"),
    ],
)
def test_malformed_json_is_rejected(client: TestClient, body: bytes) -> None:
    assert "the request is not valid JSON" in error_of(client.post(PATH, content=body), 400)


@pytest.mark.parametrize(
    ("item", "times", "expected"),
    [
        (b"[],", MAX_JSON_VALUES, f"{MAX_JSON_VALUES}: send the tensor as binary data"),
        (b"0,", MAX_JSON_VALUES, f"{MAX_JSON_VALUES}: send the tensor as binary data"),
        (b"{},", MAX_JSON_OBJECTS, f"{MAX_JSON_OBJECTS}"),
        ('"\U0001f600",'.encode(), MAX_FREE_BYTES // 7, "only ASCII"),
    ],
)
def test_json_of_too_much_is_rejected_before_it_is_parsed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, item: bytes, times: int, expected: str
) -> None:
    body = b'{"inputs": [' + item * times + b"0]}"
    with monkeypatch.context() as patch:
        patch.setattr("orjson.loads", lambda _: pytest.fail("the request was parsed"))
        text = error_of(client.post(PATH, content=body), 422)
    assert f"expected {'at most ' * expected[0].isdigit()}{expected}" in text


@pytest.mark.parametrize("length", ["-1", "0", "1.5", "x", "", "9" * 19, "1 2", "٣"])
def test_length_header_must_be_a_whole_number(client: TestClient, length: str) -> None:
    headers = {LENGTH.encode(): length.encode()}
    text = error_of(client.post(PATH, content=b"{}", headers=headers), 422)
    assert f"{LENGTH} is " in text


@pytest.mark.parametrize("length", ["3", "999999999999999999"])
def test_length_header_beyond_the_body_is_rejected(client: TestClient, length: str) -> None:
    text = error_of(client.post(PATH, content=b"{}", headers={LENGTH: length}), 400)
    assert f"{LENGTH} is {length}, expected at most the 2 bytes of the body" in text


def test_length_header_that_truncates_the_json_is_rejected(client: TestClient) -> None:
    text = json.dumps({"inputs": [tensor(data=None, parameters=SIZE)]}).encode()
    for cut in (1, len(text) - 1, len(text) + 1):
        body = text + VALUES.tobytes()
        response = client.post(PATH, content=body, headers={LENGTH: str(cut)})
        assert "not valid JSON" in error_of(response, 400)


@pytest.mark.parametrize(
    ("size", "binary"), [(192, 191), (192, 193), (191, 191), (384, 384), (384, 192), (0, 0)]
)
def test_bytes_must_match_the_size_and_shape(client: TestClient, size: int, binary: int) -> None:
    described = tensor(data=None, parameters={"binary_data_size": size})
    text = error_of(post_with_bytes(client, {"inputs": [described]}, bytes(binary)), 422)
    received = f"{binary} bytes follow the JSON and binary_data_size is {size}, expected 192"
    assert (received if size else "binary_data_size is 0, expected at least 1") in text


def test_bytes_after_json_data_are_rejected(client: TestClient) -> None:
    text = error_of(post_with_bytes(client, {"inputs": [tensor()]}, bytes(192)), 422)
    assert "192 bytes follow the JSON, expected 0 with inputs[0].data" in text


def test_shape_that_does_not_match_allocates_no_memory(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(*_: object) -> Iterator[int]:
        pytest.fail("the numbers were joined")

    monkeypatch.setattr(tensors, "chain", type("chain", (), {"from_iterable": joined}))
    described = tensor(shape=[10**15, 8, 8, 3], data=[[]])
    error_of(client.post(PATH, json={"inputs": [described]}), 422)
    size = {"binary_data_size": 10**15 * 192}
    described = tensor(shape=[10**15, 8, 8, 3], data=None, parameters=size)
    error_of(post_with_bytes(client, {"inputs": [described]}, bytes(192)), 422)
    monkeypatch.undo()


def test_infer_has_the_limits_of_predict_on_images_and_bytes(make_client: MakeClient) -> None:
    client = make_client(max_images=2, max_body_bytes=4000)
    parsed(post_binary(client, pixels(RED, RED)))
    for count, limit in ((3, "has 3 images, expected at most 2"), (30, "expected at most 4000")):
        assert limit in error_of(post_binary(client, pixels(*[RED] * count)), 413)
    assert "more than 4000 bytes" in error_of(
        client.post(PATH, content=iter([bytes(1000)] * 5)), 413
    )
    still_serves(client)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_compressed_body_is_rejected(client: TestClient, encoding: str) -> None:
    response = client.post(PATH, content=b"{}", headers={"content-encoding": encoding})
    assert f'Content-Encoding is "{encoding}"' in error_of(response, 415)


@pytest.mark.parametrize(
    "content_type", ["text/pixels", "application/x-www-form-urlencoded", "image/png", "nonsense"]
)
def test_unsupported_content_type_is_rejected(client: TestClient, content_type: str) -> None:
    response = client.post(PATH, content=b"{}", headers={"content-type": content_type})
    assert f'Content-Type is "{content_type}", expected application/json' in error_of(response, 415)
