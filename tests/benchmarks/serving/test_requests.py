"""The bytes of the benchmark's requests, read by independent parsers."""

import base64
import email.parser
import email.policy
import json
from email.message import EmailMessage

import h11
import numpy as np

from benchmarks.serving.requests import base64_json, encoded, form, raw

FILES = [b"\x89PNG one", b"two\r\n--picture", b""]


def parse(data: bytes) -> tuple[h11.Request, bytes]:
    """Parse a request with h11."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return request, body


def test_benchmark_request_is_a_post_with_its_whole_body() -> None:
    sent = encoded(b"\x00\r\n\r\nbytes", "webp")
    request, body = parse(sent.to_bytes())
    assert (request.method, request.target) == (b"POST", b"/predict")
    assert (b"content-type", b"image/webp") in request.headers
    assert (b"connection", b"close") not in request.headers
    assert body == b"\x00\r\n\r\nbytes"
    last, _ = parse(sent.to_bytes(close=True))
    assert (b"connection", b"close") in last.headers


def test_benchmark_request_of_raw_pixels_has_their_shape() -> None:
    pixels = np.arange(2 * 4 * 3 * 3, dtype=np.uint8).reshape(2, 4, 3, 3)
    sent = raw(pixels)
    request, body = parse(sent.to_bytes())
    assert (b"x-shape", b"2,4,3,3") in request.headers
    assert sent.images == 2
    assert body == pixels.tobytes()


def test_benchmark_request_of_a_form_has_every_file() -> None:
    sent = form([FILES[0], FILES[2], FILES[0]])
    head = f"Content-Type: {sent.content_type}\r\n\r\n".encode()
    parser = email.parser.BytesParser(EmailMessage, policy=email.policy.HTTP)
    parts = list(parser.parsebytes(head + sent.body).iter_parts())
    assert [part.get_param("name", header="content-disposition") for part in parts] == ["files"] * 3
    assert [part.get_payload(decode=True) for part in parts] == [FILES[0], FILES[2], FILES[0]]
    assert sent.images == 3


def test_benchmark_request_of_json_has_every_file() -> None:
    sent = base64_json(FILES)
    assert [base64.b64decode(image) for image in json.loads(sent.body)["images"]] == FILES
    assert sent.images == 3
