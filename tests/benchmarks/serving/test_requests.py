"""What goes over the wire is what was asked, by parsers that are not ours."""

import base64
import email.parser
import email.policy
import json
from email.message import EmailMessage

import h11
import numpy as np

from benchmarks.serving.requests import Request, base64_json, encoded, form, raw

FILES = [b"\x89PNG one", b"two\r\n--picture", b""]


def received(data: bytes) -> tuple[h11.Request, bytes]:
    """What a server makes of the bytes."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return request, body


def test_a_request_is_one_post_with_all_of_its_body() -> None:
    request, body = received(encoded(b"\x00\r\n\r\nbytes", "webp").over_the_wire())
    assert (request.method, request.target) == (b"POST", b"/predict")
    assert (b"content-type", b"image/webp") in request.headers
    assert body == b"\x00\r\n\r\nbytes"


def test_a_request_can_be_the_last_of_its_connection() -> None:
    kept, _ = received(encoded(b"x").over_the_wire())
    last, _ = received(encoded(b"x").over_the_wire(close=True))
    assert (b"connection", b"close") in last.headers
    assert (b"connection", b"close") not in kept.headers


def test_raw_pixels_say_their_shape() -> None:
    pixels = np.arange(2 * 4 * 3 * 3, dtype=np.uint8).reshape(2, 4, 3, 3)
    asked = raw(pixels)
    request, body = received(asked.over_the_wire())
    assert (b"x-shape", b"2,4,3,3") in request.headers
    assert asked.images == 2
    assert body == pixels.tobytes()


def test_a_form_holds_every_file() -> None:
    asked = form([FILES[0], FILES[2], FILES[0]])
    message = _message(asked)
    parts = list(message.iter_parts())
    assert [part.get_param("name", header="content-disposition") for part in parts] == ["files"] * 3
    assert [part.get_payload(decode=True) for part in parts] == [FILES[0], FILES[2], FILES[0]]
    assert asked.images == 3


def test_json_holds_every_file() -> None:
    asked = base64_json(FILES)
    assert [base64.b64decode(image) for image in json.loads(asked.body)["images"]] == FILES
    assert asked.images == 3


def _message(asked: Request) -> EmailMessage:
    head = f"Content-Type: {asked.content_type}\r\n\r\n".encode()
    return email.parser.BytesParser(EmailMessage, policy=email.policy.HTTP).parsebytes(
        head + asked.body
    )
