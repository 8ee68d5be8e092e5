"""Bad bodies get the documented problem, and the next good request its answer."""

import base64
import json
from collections.abc import Callable, Iterator

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from oodguard.service.api.schemas import ImagePlace
from tests.service.checks import post, post_pixels, predictions, problem, still_serves
from tests.service.conftest import MakeClient
from tests.service.pictures import (
    encode,
    plain,
)

TEXT = b"this is no image, but text"

LIMIT = 20_000


def test_a_batch_with_one_bad_image_names_which_one(client: TestClient) -> None:
    files = [
        ("files", ("good.png", encode(plain()))),
        ("files", ("bad.png", TEXT)),
        ("files", ("also bad.png", TEXT)),
    ]
    answer = problem(client.post("/predict", files=files), 400, "undecodable-image")
    assert answer.image == ImagePlace(index=1, name="bad.png")
    assert answer.detail.startswith("image 1 (bad.png): ")
    still_serves(client)


@pytest.mark.parametrize("text", ["not base64!", "AAA", "AAAA=AAA", "A\nAAA", "é"])
def test_wrong_base64_names_its_image(client: TestClient, text: str) -> None:
    good = base64.b64encode(encode(plain())).decode()
    answer = problem(
        client.post("/predict", json={"images": [good, text]}), 400, "undecodable-image"
    )
    assert answer.image == ImagePlace(index=1, name=None)
    assert "base64" in answer.detail
    still_serves(client)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"images": [', id="cut off"),
        pytest.param(b"{'images': []}", id="single quotes"),
        pytest.param(b'{"images": "\xff\xfe"}', id="not UTF-8"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deeply nested"),
        pytest.param(b'{"images":' * 50_000, id="deeply nested objects"),
    ],
)
def test_wrong_json_is_a_malformed_body(client: TestClient, body: bytes) -> None:
    problem(post(client, body, "application/json"), 400, "malformed-body")
    still_serves(client)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([], id="a list"),
        pytest.param(None, id="null"),
        pytest.param({}, id="no fields"),
        pytest.param({"image": "AAAA"}, id="another field"),
        pytest.param({"images": ["AAAA"], "threshold": 1}, id="one field too many"),
        pytest.param({"images": "AAAA"}, id="a string"),
        pytest.param({"images": []}, id="an empty list"),
        pytest.param({"images": [1]}, id="a number"),
        pytest.param({"images": [[["AAAA"]]]}, id="nested lists"),
        pytest.param({"images": [None]}, id="null in the list"),
    ],
)
def test_json_with_wrong_fields_says_what_is_wanted(client: TestClient, value: object) -> None:
    response = post(client, json.dumps(value).encode(), "application/json")
    answer = problem(response, 422, "wrong-fields")
    assert "base64" in answer.detail
    still_serves(client)


def thousand_files(client: TestClient) -> Response:
    return client.post("/predict", files=[("files", ("a.png", b"x"))] * 1000)


def thousand_strings(client: TestClient) -> Response:
    return client.post("/predict", json={"images": ["AAAA"] * 1000})


def thousand_raw(client: TestClient) -> Response:
    return post_pixels(client, bytes(1000 * 3), "1000,1,1,3")


@pytest.mark.parametrize("send", [thousand_files, thousand_strings, thousand_raw])
def test_a_thousand_images_are_too_many(
    client: TestClient, send: Callable[[TestClient], Response]
) -> None:
    answer = problem(send(client), 413, "too-many-images")
    assert "at most 256" in answer.detail
    still_serves(client)


def test_a_body_over_the_limit_is_refused_by_its_announced_length(make_client: MakeClient) -> None:
    client = make_client(max_body_bytes=LIMIT)
    answer = problem(post(client, bytes(LIMIT + 1)), 413, "body-too-large")
    assert f"{LIMIT + 1} bytes were announced; at most {LIMIT}" in answer.detail
    still_serves(client)


def test_a_body_over_the_limit_is_refused_where_no_length_was_announced(
    make_client: MakeClient,
) -> None:
    client = make_client(max_body_bytes=LIMIT)

    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            yield bytes(LIMIT // 4)

    response = client.post("/predict", content=chunks(), headers={"content-type": "image/png"})
    assert "content-length" not in response.request.headers
    assert f"at most {LIMIT}" in problem(response, 413, "body-too-large").detail
    still_serves(client)


def test_a_body_of_exactly_the_limit_is_taken(make_client: MakeClient) -> None:
    image = encode(plain())
    client = make_client(max_body_bytes=len(image))
    predictions(post(client, image))


@pytest.mark.parametrize("length", ["9" * 17, "9" * 5000])
def test_an_absurd_content_length_is_too_large(client: TestClient, length: str) -> None:
    response = post(client, encode(plain()), **{"content-length": length})
    problem(response, 413, "body-too-large")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "image/gif", "application/x-www-form-urlencoded", "nonsense", ""]
)
def test_a_wrong_content_type_is_told_the_right_ones(client: TestClient, content_type: str) -> None:
    answer = problem(post(client, encode(plain()), content_type), 415, "unsupported-content")
    assert "multipart/form-data, application/json, image/jpeg, image/png" in answer.detail
    still_serves(client)


def test_no_content_type_at_all_is_told_the_right_ones(client: TestClient) -> None:
    answer = problem(client.post("/predict", content=b"x"), 415, "unsupported-content")
    assert "no content type came" in answer.detail


def test_a_compressed_body_is_refused(client: TestClient) -> None:
    response = post(client, encode(plain()), **{"content-encoding": "gzip"})
    assert "gzip" in problem(response, 415, "unsupported-content").detail


def test_pixels_without_a_shape_are_told_about_the_header(client: TestClient) -> None:
    response = post(client, bytes(192), "application/octet-stream")
    assert "X-Shape: n,H,W,3" in problem(response, 422, "wrong-fields").detail
    still_serves(client)


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
        "1,8,7,3",
        "2,8,8,3",
        "",
        "a,b,c,d",
        "1e3,8,8,3",
        "99999999999999999999,8,8,3",
        "256,1,999999999999999999999999,3",
        "٣,8,8,3".encode().decode("latin-1"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(client: TestClient, shape: str) -> None:
    headers = {b"content-type": b"application/octet-stream", b"x-shape": shape.encode("latin-1")}
    response = client.post("/predict", content=bytes(192), headers=headers)
    problem(response, 422, "wrong-fields")
    still_serves(client)


def test_a_shape_that_would_overflow_is_refused_by_the_pixel_limit(client: TestClient) -> None:
    # 256 * 999999999 ** 2 * 3 is beyond 64 bits.
    response = post_pixels(client, bytes(192), "256,999999999,999999999,3")
    problem(response, 413, "image-too-large")
    still_serves(client)


def test_multipart_without_a_boundary_is_malformed(client: TestClient) -> None:
    response = post(client, b"--x\r\n\r\n--x--\r\n", "multipart/form-data")
    assert "boundary" in problem(response, 400, "malformed-body").detail
    still_serves(client)


BEGIN = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="no boundary in it"),
        pytest.param(b"--y\r\n\r\n--y--\r\n", id="another boundary"),
        pytest.param(BEGIN + b"abc", id="cut off within a file"),
        pytest.param(BEGIN[:30], id="cut off within a header"),
        pytest.param(b"--x\r\nbad header\r\n\r\nabc\r\n--x--\r\n", id="a broken header"),
    ],
)
def test_broken_multipart_is_malformed(client: TestClient, body: bytes) -> None:
    response = post(client, body, "multipart/form-data; boundary=x")
    problem(response, 400, "malformed-body")
    still_serves(client)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"--x--\r\n", id="no field"),
        pytest.param(BEGIN.replace(b"files", b"image") + b"a\r\n--x--\r\n", id="another name"),
        pytest.param(b"--x\r\n\r\nabc\r\n--x--\r\n", id="no name"),
    ],
)
def test_multipart_without_the_field_says_its_name(client: TestClient, body: bytes) -> None:
    response = post(client, body, "multipart/form-data; boundary=x")
    assert "'files'" in problem(response, 422, "wrong-fields").detail
    still_serves(client)


def test_a_very_long_boundary_is_malformed(client: TestClient) -> None:
    response = post(client, b"x", f"multipart/form-data; boundary={'b' * 10_000}")
    problem(response, 400, "malformed-body")
