"""The formats of a body: parsed as they were written, or rejected with the error's reason."""

import base64
import gc
import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from httpx2 import Response
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser
from starlette.testclient import TestClient

from oodguard.service.api.schemas import ImagePlace
from oodguard.service.errors import (
    InvalidImage,
    MalformedBody,
    RequestError,
    TooManyImages,
    WrongFields,
)
from oodguard.service.images.body import PARSERS, content_type, parse
from oodguard.service.images.formats import MAX_JSON_VALUES
from oodguard.service.images.header import EncodedImage
from oodguard.service.images.types import Body, Payload, RequestLimits
from tests.service.checks import post, post_pixels, problem
from tests.service.pictures import encode, plain

LIMITS = RequestLimits(max_body_bytes=10_000, max_images=3, max_pixels=10**6)
MOST = MAX_JSON_VALUES + LIMITS.max_images
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
MULTIPART = "multipart/form-data; boundary=x"
TEXT = b"text instead of an image"


def parsed(data: bytes, header: str, shape: str | None = None) -> Payload:
    kind, options = content_type(header)
    return parse(Body(data=data, content_type=kind, options=options, shape=shape), LIMITS)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_multipart_files_are_parsed_as_they_were_written(contents: list[bytes]) -> None:
    boundary = "a-boundary-that-no-content-has"
    head = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="files"; filename="%d.png"\r\n'
        b"Content-Type: image/png\r\n\r\n%s\r\n" % (boundary.encode(), index, content)
        for index, content in enumerate(contents)
    )
    data = head + b"--" + boundary.encode() + b"--\r\n"
    assert parsed(data, f'multipart/form-data; boundary="{boundary}"') == [
        EncodedImage(data=content, name=f"{index}.png") for index, content in enumerate(contents)
    ]


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_json_base64_of_the_standard_library_is_parsed(contents: list[bytes]) -> None:
    texts = ",".join(f'"{base64.b64encode(content).decode()}"' for content in contents)
    images = parsed(f'{{"images":[{texts}]}}'.encode(), "application/json")
    assert images == [EncodedImage(data=content) for content in contents]


def test_raw_pixels_are_a_view_in_the_order_of_the_body() -> None:
    pixels = parsed(bytes(range(24)), "application/octet-stream", " 2, 2 ,2,3 ")
    assert isinstance(pixels, np.ndarray)
    assert pixels[1, 0, 1].tolist() == [15, 16, 17]
    assert not pixels.flags.owndata


@given(
    header=st.sampled_from([*PARSERS, MULTIPART]),
    start=st.sampled_from([b"", b"--x\r\n", b'{"images":[', b"--x\r\nContent-Disposition: "]),
    data=st.binary(max_size=200),
    shape=st.none() | st.text(max_size=20) | st.just("1,2,2,3"),
)
def test_any_body_is_a_payload_or_a_request_error(
    header: str, start: bytes, data: bytes, shape: str | None
) -> None:
    try:
        payload = parsed(start + data, header, shape)
    except RequestError:
        return
    assert 1 <= len(payload) <= LIMITS.max_images


def test_batch_error_has_the_index_and_name_of_the_first_invalid_image(client: TestClient) -> None:
    files = [
        ("files", ("good.png", encode(plain()))),
        ("files", ("bad.png", TEXT)),
        ("files", ("also bad.png", TEXT)),
    ]
    answer = problem(client.post("/predict", files=files), 400, "undecodable-image")
    assert answer.image == ImagePlace(index=1, name="bad.png")
    assert answer.detail.startswith("image 1 (bad.png): ")


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.post("/predict", files=[("files", ("a.png", b"x"))] * 1000),
        lambda client: client.post("/predict", json={"images": ["AAAA"] * 1000}),
        lambda client: post_pixels(client, bytes(1000 * 3), "1000,1,1,3"),
    ],
    ids=["multipart", "JSON", "raw pixels"],
)
def test_more_images_than_the_limit_are_rejected(
    client: TestClient, send: Callable[[TestClient], Response]
) -> None:
    answer = problem(send(client), 413, "too-many-images")
    assert "expected at most 256" in answer.detail


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
    "text",
    [
        *("not base64!", "AAA", "AAAA=AAA", "A\nAAA", "é"),
        *("data:image/png,AAAA", "data:AAAA", "data:", "data:;base64,AAA", "data:;base64,%41AAA"),
        f"data:{'a' * 300};base64,AAAA",
        "data:;base64,data:;base64,AAAA",
    ],
)
def test_json_with_invalid_base64_is_rejected_with_the_index(client: TestClient, text: str) -> None:
    good = base64.b64encode(encode(plain())).decode()
    response = client.post("/predict", json={"images": [good, text]})
    answer = problem(response, 400, "undecodable-image")
    assert answer.image == ImagePlace(index=1, name=None)
    assert "invalid base64" in answer.detail


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"images": [', id="truncated"),
        pytest.param(b"{'images': []}", id="single quotes"),
        pytest.param(b'{"images": "\xff\xfe"}', id="not UTF-8"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deeply nested"),
        pytest.param(b'{"images":' * 50_000, id="deeply nested objects"),
    ],
)
def test_malformed_json_is_rejected(client: TestClient, body: bytes) -> None:
    problem(post(client, body, "application/json"), 400, "malformed-body")


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


def test_raw_pixels_without_x_shape_are_rejected(client: TestClient) -> None:
    response = post(client, bytes(192), "application/octet-stream")
    assert 'X-Shape is missing, expected "n,H,W,3"' in problem(response, 422, "wrong-fields").detail


@pytest.mark.parametrize(
    "shape",
    [
        "1,8,8,4",
        "1,8,8",
        "8,8,3",
        "1,8,8,3,1",
        "-1,8,8,3",
        "1,8.0,8,3",
        "0,8,8,3",
        "1,0,8,3",
        "",
        "a,b,c,d",
        "1e3,8,8,3",
        "99999999999999999999,8,8,3",
        "256,1,999999999999999999999999,3",
        "٣,8,8,3".encode().decode("latin-1"),
    ],
)
def test_raw_pixels_with_an_invalid_x_shape_are_rejected(client: TestClient, shape: str) -> None:
    headers = {b"content-type": b"application/octet-stream", b"x-shape": shape.encode("latin-1")}
    response = client.post("/predict", content=bytes(192), headers=headers)
    assert f'X-Shape is "{shape}"' in problem(response, 422, "wrong-fields").detail


@pytest.mark.parametrize(("shape", "expected"), [("1,8,7,3", 168), ("2,8,8,3", 384)])
def test_raw_pixels_that_do_not_match_x_shape_are_rejected(
    client: TestClient, shape: str, expected: int
) -> None:
    detail = problem(post_pixels(client, bytes(192), shape), 422, "wrong-fields").detail
    assert detail == f'the body has 192 bytes, expected {expected} for X-Shape "{shape}"'


def test_raw_pixels_with_an_overflowing_x_shape_are_rejected(client: TestClient) -> None:
    # 256 * 999999999 ** 2 * 3 is beyond 64 bits.
    response = post_pixels(client, bytes(192), "256,999999999,999999999,3")
    problem(response, 413, "image-too-large")


def test_raw_pixels_have_the_side_limit_of_encoded_images() -> None:
    strip = bytes(3 * 65_536)
    with pytest.raises(InvalidImage, match="image 0: the image has 1 x 65536 pixels"):
        parsed(strip, "application/octet-stream", "1,65536,1,3")
    assert len(parsed(strip[3:], "application/octet-stream", "1,1,65535,3")) == 1


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        pytest.param(b"--x\r\n\r\n--x--\r\n", "", id="no boundary parameter"),
        pytest.param(b"x", f"; boundary={'b' * 900}", id="long boundary"),
        pytest.param(b"", "; boundary=x", id="empty"),
        pytest.param(b"hello", "; boundary=x", id="no boundary"),
        pytest.param(b"--y\r\n\r\n--y--\r\n", "; boundary=x", id="another boundary"),
        pytest.param(PART + b"abc", "; boundary=x", id="truncated file"),
        pytest.param(PART[:30], "; boundary=x", id="truncated header"),
        pytest.param(b"--x\r\nbad\r\n\r\na\r\n--x--\r\n", "; boundary=x", id="invalid header"),
        pytest.param(b"--x\r\n\r\nabc\r\n--x--\r\n", "; boundary=x", id="no field name"),
    ],
)
def test_malformed_multipart_is_rejected(client: TestClient, body: bytes, parameter: str) -> None:
    problem(post(client, body, f"multipart/form-data{parameter}"), 400, "malformed-body")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"--x--\r\n", id="no field"),
        pytest.param(PART.replace(b"files", b"image") + b"a\r\n--x--\r\n", id="another name"),
    ],
)
def test_multipart_without_the_field_files_is_rejected(client: TestClient, body: bytes) -> None:
    response = post(client, body, MULTIPART)
    assert "'files'" in problem(response, 422, "wrong-fields").detail


@pytest.mark.parametrize("header", [b"", b"\r\nContent-Disposition: form-data; filename=a.png"])
def test_multipart_part_without_a_name_is_rejected_in_plain_words(header: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        parsed(PART + b"a\r\n--x" + header + b"\r\n\r\nb\r\n--x--\r\n", MULTIPART)
    assert str(caught.value) == (
        "part 1 of the multipart body has no Content-Disposition header with a name,"
        ' expected: form-data; name="files"'
    )


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable", b'x-"evil'])
def test_multipart_content_transfer_encoding_is_ignored_and_not_logged(
    encoding: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    part = PART[:-2] + b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    images = parsed(part + b"!!!!=41\r\n--x--\r\n", MULTIPART)
    assert images == [EncodedImage(data=b"!!!!=41", name="a")]
    assert caplog.records == []


@pytest.mark.parametrize("count", [4, 1000])
def test_multipart_files_over_the_limit_are_not_collected(count: int) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\na\r\n'
    with pytest.raises(TooManyImages, match="expected at most 3"):
        parsed(part * count + b"--x--", MULTIPART)


@pytest.mark.parametrize("line", [b"\r\n--xA", b"\r\n--x-A", b"\r\n--x\r", b"\r\n--x\r\n"])
def test_multipart_of_many_boundary_lines_is_rejected_before_it_is_parsed(
    line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MultipartParser, "write", lambda *_: pytest.fail("the body was parsed"))
    with pytest.raises(TooManyImages, match="1001 lines that start with the boundary"):
        parsed(PART + line * 1000 + b"\r\n--x--\r\n", MULTIPART)


def test_multipart_file_may_contain_lines_that_start_with_the_boundary() -> None:
    images = parsed(PART + b"a\r\n--xb\r\n--x--\r\n", MULTIPART)
    assert images == [EncodedImage(data=b"a\r\n--xb", name="a")]


@pytest.mark.slow
@pytest.mark.parametrize("end", [b"\r\n--x--\r\n", b"\r\n--x\r\n\r\n"])
def test_multipart_leaves_no_reference_cycles(end: bytes) -> None:
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        with suppress(RequestError):
            parsed(PART + b"abc" + end, MULTIPART)
        gc.collect()
        # Threads of other tests may leave cycles too.
        modules = {getattr(each, "__module__", type(each).__module__) for each in gc.garbage}
        assert not modules & {"python_multipart.multipart", "oodguard.service.images.formats"}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
