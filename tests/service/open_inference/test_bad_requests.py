"""Bad inference requests are told what is wrong, as the protocol does; the next one is served."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from oodguard.service.open_inference import request as tensors
from oodguard.service.open_inference.request import MOST_MARKS
from tests.service.checks import still_serves
from tests.service.conftest import MakeClient
from tests.service.open_inference.speaking import (
    LENGTH,
    PATH,
    answered,
    images,
    post_behind,
    post_binary,
    post_json,
    refused,
)
from tests.service.open_inference.speaking import pixels as plain
from tests.service.pictures import RED

VALUES = plain(RED)
FLAT = VALUES.ravel().tolist()
NESTED = VALUES.tolist()
SIZE = {"binary_data_size": 192}


def tensor(**changes: Any) -> dict[str, Any]:
    """The good tensor with some members changed; None leaves one out."""
    whole = {**images(VALUES, data=FLAT), **changes}
    return {key: value for key, value in whole.items() if value is not None}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param([], "the request is a list; an object", id="a list"),
        pytest.param({}, "0 inputs came", id="no inputs"),
        pytest.param({"inputs": {}}, "'inputs' of the request is a object", id="inputs an object"),
        pytest.param({"inputs": []}, "0 inputs came", id="empty inputs"),
        pytest.param({"inputs": [tensor(), tensor()]}, "2 inputs came", id="two inputs"),
        pytest.param({"inputs": [7]}, "the input is a whole number", id="a number for an input"),
        pytest.param({"inputs": [tensor(name=None)]}, "the input None", id="no name"),
        pytest.param({"inputs": [tensor(name="x")]}, "the input 'x'", id="another name"),
        pytest.param({"inputs": [tensor(name=1)]}, "'name' of an input", id="a number for a name"),
        pytest.param({"inputs": [tensor(datatype="FP32")]}, "'FP32'", id="another datatype"),
        pytest.param({"inputs": [tensor(shape=None)]}, "[n, 8, 8, 3]", id="no shape"),
        pytest.param({"inputs": [tensor(shape=[8, 8, 3])]}, "[n, 8, 8, 3]", id="no batch"),
        pytest.param({"inputs": [tensor(shape=[1, 8, 8, 3, 1])]}, "[n, 8, 8, 3]", id="five sides"),
        pytest.param({"inputs": [tensor(shape=[1, 3, 8, 8])]}, "[n, 8, 8, 3]", id="NCHW"),
        pytest.param({"inputs": [tensor(shape=[0, 8, 8, 3])]}, "at least one", id="no images"),
        pytest.param({"inputs": [tensor(shape=[-1, 8, 8, 3])]}, "at least one", id="free n"),
        pytest.param({"inputs": [tensor(shape=[True, 8, 8, 3])]}, "[True, 8, 8, 3]", id="true"),
        pytest.param({"inputs": [tensor(shape=[1, 8.0, 8, 3])]}, "[1, 8.0, 8, 3]", id="8.0"),
        pytest.param({"inputs": [tensor(shape=["1", 8, 8, 3])]}, "['1', 8, 8, 3]", id="'1'"),
        pytest.param({"inputs": [tensor(shape="1,8,8,3")]}, "'shape' of images", id="X-Shape"),
        pytest.param({"inputs": [tensor(shape=[2, 8, 8, 3])]}, "384 numbers", id="more images"),
        pytest.param({"inputs": [tensor(shape=[10**18, 8, 8, 3])]}, "neither 19", id="10^18"),
        pytest.param({"inputs": [tensor(data=None)]}, "either 'data' or", id="no data"),
        pytest.param({"inputs": [tensor(parameters=SIZE)]}, "and not both", id="both"),
        pytest.param({"inputs": [tensor(data="AAAA")]}, "'data' of images", id="a string"),
        pytest.param({"inputs": [tensor(data=[])]}, "neither 192 numbers", id="empty data"),
        pytest.param({"inputs": [tensor(data=FLAT[1:])]}, "neither 192", id="a number too few"),
        pytest.param({"inputs": [tensor(data=[*FLAT, 0])]}, "neither 192", id="a number too many"),
        pytest.param({"inputs": [tensor(data=NESTED[0])]}, "lists nested", id="nested too little"),
        pytest.param({"inputs": [tensor(data=[NESTED])]}, "lists nested", id="nested too much"),
        pytest.param({"inputs": [tensor(data=[[[FLAT]]])]}, "lists nested", id="nested otherwise"),
        pytest.param({"inputs": [tensor(data=[NESTED[0], 1])]}, "lists nested", id="half nested"),
        pytest.param({"inputs": [tensor(data=[256, *FLAT[1:]])]}, "0 to 255", id="256"),
        pytest.param({"inputs": [tensor(data=[-1, *FLAT[1:]])]}, "0 to 255", id="-1"),
        pytest.param({"inputs": [tensor(data=[10**18, *FLAT[1:]])]}, "0 to 255", id="10^18 in it"),
        pytest.param({"inputs": [tensor(data=[1e30, *FLAT[1:]])]}, "0 to 255", id="1e30"),
        pytest.param({"inputs": [tensor(data=[0.5, *FLAT[1:]])]}, "0 to 255", id="0.5"),
        pytest.param({"inputs": [tensor(data=["1", *FLAT[1:]])]}, "0 to 255", id="'1' in it"),
        pytest.param({"inputs": [tensor(data=[*FLAT[1:], None])]}, "0 to 255", id="null in it"),
        pytest.param({"inputs": [tensor(data=[*FLAT[1:], []])]}, "0 to 255", id="a list in it"),
        pytest.param({"inputs": [tensor(parameters=[])]}, "'parameters' of images", id="list"),
        pytest.param(
            {"inputs": [tensor(data=None, parameters={"binary_data_size": True})]},
            "'binary_data_size' of images is a boolean",
            id="true for a size",
        ),
        pytest.param(
            {"inputs": [tensor(data=None, parameters=SIZE)]}, "0 bytes came", id="no bytes"
        ),
        pytest.param(
            {"inputs": [tensor(data=None, parameters={"shared_memory_region": "x"})]},
            "shared memory",
            id="shared memory in",
        ),
    ],
)
def test_a_wrong_tensor_is_told_what_is_wanted(client: TestClient, body: Any, text: str) -> None:
    assert text in refused(client.post(PATH, json=body), 422)
    still_serves(client)


@pytest.mark.parametrize(
    ("rest", "text"),
    [
        pytest.param({"id": 7}, "'id' of the request is a whole number", id="a number for an id"),
        pytest.param({"id": "x" * 257}, "257 characters", id="a long id"),
        pytest.param({"parameters": 1}, "'parameters' of the request", id="a number"),
        pytest.param({"parameters": {"timeout": -1}}, "a timeout of -1", id="before it began"),
        pytest.param({"parameters": {"timeout": 0.5}}, "'timeout' of the request", id="half"),
        pytest.param({"parameters": {"timeout": True}}, "is a boolean", id="true"),
        pytest.param({"parameters": {"binary_data_output": 1}}, "a boolean is wanted", id="1"),
        pytest.param({"outputs": {}}, "'outputs' of the request", id="an object for outputs"),
        pytest.param({"outputs": ["label"]}, "a requested output is a string", id="a string"),
        pytest.param({"outputs": [{}]}, "the output None is asked for", id="no name"),
        pytest.param({"outputs": [{"name": "x"}]}, "there are logits, scores,", id="unknown"),
        pytest.param({"outputs": [{"name": "label"}] * 2}, "asked for twice", id="twice"),
        pytest.param({"outputs": [{"name": "label"}] * 8}, "8 outputs", id="more than there are"),
        pytest.param(
            {"outputs": [{"name": "logits", "parameters": {"classification": 2}}]},
            "'classification' of logits came; no classifications are told; ask for the outputs",
            id="classification",
        ),
        pytest.param(
            {"outputs": [{"name": "logits", "parameters": {"shared_memory_region": "x"}}]},
            "no shared memory",
            id="shared memory out",
        ),
        pytest.param(
            {"outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
            "'binary_data' of label is a string",
            id="a string for binary_data",
        ),
    ],
)
def test_whatever_else_is_wrong_is_told_as_well(
    client: TestClient, rest: dict[str, Any], text: str
) -> None:
    assert text in refused(post_json(client, VALUES, **rest), 422)
    still_serves(client)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"inputs": [', id="cut off"),
        pytest.param(b'{"inputs": [NaN]}', id="NaN"),
        pytest.param(b'{"inputs": [Infinity]}', id="Infinity"),
        pytest.param(b'{"id": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"inputs":' * 5_000, id="deeply nested"),
        pytest.param(VALUES.tobytes(), id="the tensor alone"),
    ],
)
def test_what_is_no_json_is_malformed(client: TestClient, body: bytes) -> None:
    assert "the request is not JSON" in refused(client.post(PATH, content=body), 400)
    still_serves(client)


@pytest.mark.parametrize("mark", [b"[],", b"{},", b"0,"])
def test_json_of_too_many_values_is_not_parsed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, mark: bytes
) -> None:
    def loaded(*_: object) -> None:
        pytest.fail("it was parsed")

    monkeypatch.setattr("orjson.loads", loaded)
    text = refused(client.post(PATH, content=b'{"inputs": [' + mark * MOST_MARKS + b"0]}"), 422)
    assert f"at most {MOST_MARKS} are read; send the tensor as binary data" in text
    monkeypatch.undo()
    still_serves(client)


@pytest.mark.parametrize("length", ["-1", "0", "1.5", "x", "", "9" * 19, "1 2", "٣"])
def test_a_length_of_the_json_that_is_no_number_is_refused(client: TestClient, length: str) -> None:
    headers = {LENGTH.encode(): length.encode()}
    text = refused(client.post(PATH, content=b"{}", headers=headers), 422)
    assert f"{LENGTH} " in text
    still_serves(client)


@pytest.mark.parametrize("length", ["3", "999999999999999999"])
def test_a_length_beyond_the_body_is_malformed(client: TestClient, length: str) -> None:
    text = refused(client.post(PATH, content=b"{}", headers={LENGTH: length}), 400)
    assert f"{LENGTH} says {length} bytes of JSON; 2 came" in text
    still_serves(client)


def test_a_length_that_cuts_the_json_is_malformed(client: TestClient) -> None:
    text = json.dumps({"inputs": [tensor(data=None, parameters=SIZE)]}).encode()
    for cut in (1, len(text) - 1, len(text) + 1):
        body = text + VALUES.tobytes()
        response = client.post(PATH, content=body, headers={LENGTH: str(cut)})
        assert "not JSON" in refused(response, 400)
    still_serves(client)


@pytest.mark.parametrize(
    ("size", "binary"), [(192, 191), (192, 193), (191, 191), (384, 384), (384, 192), (0, 0)]
)
def test_bytes_must_be_as_many_as_size_and_shape_say(
    client: TestClient, size: int, binary: int
) -> None:
    described = tensor(data=None, parameters={"binary_data_size": size})
    text = refused(post_behind(client, {"inputs": [described]}, bytes(binary)), 422)
    assert f"{binary} bytes came behind the JSON; 'binary_data_size' says {size}" in text
    assert "wants 192" in text
    still_serves(client)


def test_bytes_that_nobody_speaks_of_are_refused(client: TestClient) -> None:
    text = refused(post_behind(client, {"inputs": [tensor()]}, bytes(192)), 422)
    assert "192 bytes came behind the JSON; images has its data in it" in text


def test_a_shape_that_lies_takes_no_memory(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(*_: object) -> Iterator[int]:
        pytest.fail("the numbers were put together")

    monkeypatch.setattr(tensors, "chain", type("chain", (), {"from_iterable": joined}))
    described = tensor(shape=[10**15, 8, 8, 3], data=[[]])
    refused(client.post(PATH, json={"inputs": [described]}), 422)
    size = {"binary_data_size": 10**15 * 192}
    described = tensor(shape=[10**15, 8, 8, 3], data=None, parameters=size)
    refused(post_behind(client, {"inputs": [described]}, bytes(192)), 422)
    monkeypatch.undo()
    still_serves(client)


def test_the_limits_on_images_and_bytes_are_those_of_predict(make_client: MakeClient) -> None:
    client = make_client(max_images=2, max_body_bytes=4000)
    answered(post_binary(client, plain(RED, RED)))
    assert "has 3 images, expected at most 2" in refused(
        post_binary(client, plain(*[RED] * 3)), 413
    )
    text = refused(post_binary(client, plain(*[RED] * 30)), 413)
    assert "bytes, expected at most 4000" in text

    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            yield bytes(1000)

    assert "more than 4000 bytes" in refused(client.post(PATH, content=chunks()), 413)
    still_serves(client)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_compressed_body_is_refused(client: TestClient, encoding: str) -> None:
    response = client.post(PATH, content=b"{}", headers={"content-encoding": encoding})
    assert f'Content-Encoding is "{encoding}"' in refused(response, 415)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", "nonsense"]
)
def test_another_content_type_is_refused(client: TestClient, content_type: str) -> None:
    response = client.post(PATH, content=b"{}", headers={"content-type": content_type})
    assert f"content type '{content_type}'" in refused(response, 415)
