"""The properties of all body formats, and raw pixels."""

from collections.abc import Callable

import numpy as np
import pytest
from httpx2 import Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from oodguard.service.api.schemas import ImagePlace
from oodguard.service.errors import (
    InvalidImage,
    RequestError,
)
from oodguard.service.images.body import PARSERS
from tests.service.checks import post, post_pixels, problem
from tests.service.images.bodies import LIMITS, MULTIPART, parsed
from tests.service.pictures import encode, plain

TEXT = b"text instead of an image"


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
