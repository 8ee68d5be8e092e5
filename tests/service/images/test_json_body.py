"""JSON bodies: parsed as they were written, or rejected with the reason."""

import base64
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from oodguard.service.api.schemas import ImagePlace
from oodguard.service.errors import (
    TooManyImages,
    WrongFields,
)
from oodguard.service.images.formats import MAX_JSON_VALUES
from oodguard.service.images.header import EncodedImage
from oodguard.service.json_text import MAX_FREE_BYTES
from tests.service.checks import post, problem
from tests.service.images.bodies import LIMITS, parsed
from tests.service.pictures import encode, plain

MOST = MAX_JSON_VALUES + LIMITS.max_images


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_json_base64_of_the_standard_library_is_parsed(contents: list[bytes]) -> None:
    texts = ",".join(f'"{base64.b64encode(content).decode()}"' for content in contents)
    images = parsed(f'{{"images":[{texts}]}}'.encode(), "application/json")
    assert images == [EncodedImage(data=content) for content in contents]


@pytest.mark.parametrize(
    "prefix",
    [
        "data:image/png;base64,",
        "DATA:image/png;BASE64,",
        "data:;base64,",
        "data:image/svg+xml;charset=utf-8;base64,",
    ],
)
def test_json_data_url_is_parsed_whatever_its_media_type(prefix: str) -> None:
    texts = [prefix + base64.b64encode(content).decode() for content in (b"first", b"")]
    images = parsed(json.dumps({"images": texts}).encode(), "application/json")
    assert images == [EncodedImage(data=b"first"), EncodedImage(data=b"")]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("not base64!", "character 3 is ' '"),
        ("A\nAAA", "character 1 is '\\n'"),
        ("é", "character 0 is 'é'"),
        ("AAA", "it has 3 characters, which is not a multiple of 4"),
        ("AAAA=AAA", "its padding is wrong"),
        ("data:image/png,AAAA", "character 4 is ':'"),
        ("data:AAAA", "character 4 is ':'"),
        ("data:", "character 4 is ':'"),
        ("data:;base64,AAA", "it has 3 characters, which is not a multiple of 4"),
        ("data:;base64,%41AAA", "character 0 is '%'"),
        (f"data:{'a' * 300};base64,AAAA", "character 4 is ':'"),
        ("data:;base64,data:;base64,AAAA", "character 4 is ':'"),
    ],
)
def test_json_with_invalid_base64_is_rejected_with_index_and_cause(
    client: TestClient, text: str, cause: str
) -> None:
    good = base64.b64encode(encode(plain())).decode()
    response = client.post("/predict", json={"images": [good, text]})
    answer = problem(response, 400, "undecodable-image")
    assert answer.image == ImagePlace(index=1, name=None)
    assert f"invalid base64: {cause}, expected the standard alphabet" in answer.detail


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b'{"images": [', "a syntax error in line 1, column 13", id="truncated"),
        pytest.param(b"{\n'images': []}", "a syntax error in line 2, column 1", id="single quotes"),
        pytest.param(b'{"images": "\xff\xfe"}', "byte 12 is not UTF-8", id="not UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", "it starts with a byte order mark", id="BOM"),
        pytest.param(
            b"[" * 100_000 + b"]" * 100_000,
            "it is nested too deeply",
            id="deeply nested",
        ),
        pytest.param(b'{"images":' * 50_000, "it is nested too deeply", id="nested objects"),
    ],
)
def test_malformed_json_is_rejected_with_the_cause(
    client: TestClient, body: bytes, cause: str
) -> None:
    answer = problem(post(client, body, "application/json"), 400, "malformed-body")
    assert answer.detail == f"the body is not valid JSON: {cause}"


@pytest.mark.parametrize(
    ("value", "received"),
    [
        ([], "a JSON array"),
        (None, "a JSON null"),
        ({}, "the fields: none"),
        ({"image": "AAAA"}, "the fields: image"),
        ({"images": ["AAAA"], "threshold": 1}, "the fields: images, threshold"),
        ({"images": "AAAA"}, "'images' is a JSON string"),
        ({"images": []}, "'images' is empty"),
        ({"images": [1]}, "image 0 is a JSON number"),
        ({"images": [[["AAAA"]]]}, "image 0 is a JSON array"),
        ({"images": [None]}, "image 0 is a JSON null"),
    ],
)
def test_json_with_wrong_fields_is_rejected_with_received_and_expected(
    client: TestClient, value: object, received: str
) -> None:
    response = post(client, json.dumps(value).encode(), "application/json")
    detail = problem(response, 422, "wrong-fields").detail
    assert received in detail
    assert "base64" in detail


@pytest.mark.parametrize("item", [b"[],", b"{},", b"1,", b'"",', b"[[[]]],"])
def test_json_of_millions_of_values_is_rejected_before_it_is_parsed(item: bytes) -> None:
    body = b'{"images":[' + item * 10**6 + b'""]}'
    tracemalloc.start()
    try:
        with pytest.raises(WrongFields, match=f"JSON values, expected at most {MOST}"):
            parsed(body, "application/json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("character", ["\U0001f600", "\\ud83d\\ude00", "\u00e9", "\\u00e9"])
def test_long_json_that_is_not_ascii_is_rejected_before_it_is_parsed(character: str) -> None:
    """One such character makes Python store four bytes for each of the others."""
    body = f'{{"images":["{"A" * MAX_FREE_BYTES}{character}"]}}'.encode()
    tracemalloc.start()
    try:
        with pytest.raises(WrongFields, match="character that is not ASCII, expected only ASCII"):
            parsed(body, "application/json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_long_json_with_escapes_of_ascii_characters_is_parsed() -> None:
    r"""The encoder of .NET writes `+` as `\u002B`, and that of PHP `/` as `\/`."""
    base64_text = "AAAA" * MAX_FREE_BYTES
    images = parsed(f'{{"images":["\\u002B\\/AA{base64_text}"]}}'.encode(), "application/json")
    assert images == [EncodedImage(data=base64.b64decode("+/AA") + bytes(3 * MAX_FREE_BYTES))]


def test_json_value_limit_is_exact() -> None:
    # The object and its array are values, too, each after its bracket; every other has a comma.
    filled = b'{"images":[' + b'"",' * (MOST - 2) + b'""]}'
    with pytest.raises(TooManyImages, match=f"has {MOST - 1} images, expected at most 3"):
        parsed(filled, "application/json")
    with pytest.raises(WrongFields, match="JSON values"):
        parsed(filled.replace(b"[", b'["",', 1), "application/json")


def test_json_value_limit_does_not_count_the_characters_of_base64() -> None:
    images = parsed(b'{"images":["' + b"AAAA" * MOST + b'"]}', "application/json")
    assert images == [EncodedImage(data=bytes(3 * MOST))]
