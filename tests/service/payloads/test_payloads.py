"""Bodies are taken apart as their senders meant them, or refused within the error tree."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodguard.service.errors import RequestError
from oodguard.service.images.body import PARSERS, content_type, parse
from oodguard.service.images.types import Body, Encoded, RequestLimits

LIMITS = RequestLimits(max_body_bytes=10_000, max_images=3, max_pixels=100)


def body(data: bytes, header: str, shape: str | None = None) -> Body:
    kind, options = content_type(header)
    return Body(data=data, content_type=kind, options=options, shape=shape)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_files_are_read_back_as_they_were_written(contents: list[bytes]) -> None:
    boundary = "a-boundary-that-no-content-has"
    head = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="files"; filename="%d.png"\r\n'
        b"Content-Type: image/png\r\n\r\n%s\r\n" % (boundary.encode(), index, content)
        for index, content in enumerate(contents)
    )
    data = head + b"--" + boundary.encode() + b"--\r\n"
    parsed = parse(body(data, f'multipart/form-data; boundary="{boundary}"'), LIMITS)
    assert [(bytes(e.data), e.name) for e in parsed if isinstance(e, Encoded)] == [
        (content, f"{index}.png") for index, content in enumerate(contents)
    ]


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_base64_written_by_the_standard_library_is_read_back(contents: list[bytes]) -> None:
    texts = ",".join(f'"{base64.b64encode(content).decode()}"' for content in contents)
    parsed = parse(body(f'{{"images":[{texts}]}}'.encode(), "application/json"), LIMITS)
    assert [e.data for e in parsed if isinstance(e, Encoded)] == contents


def test_pixels_keep_their_order_and_are_not_copied() -> None:
    data = bytes(range(24))
    parsed = parse(body(data, "application/octet-stream", " 2, 2 ,2,3 "), LIMITS)
    assert isinstance(parsed, np.ndarray)
    assert parsed[1, 0, 1].tolist() == [15, 16, 17]
    assert not parsed.flags.owndata


@given(
    header=st.sampled_from([*PARSERS, "multipart/form-data; boundary=x"]),
    start=st.sampled_from([b"", b"--x\r\n", b'{"images":[', b"--x\r\nContent-Disposition: "]),
    data=st.binary(max_size=200),
    shape=st.none() | st.text(max_size=20) | st.just("1,2,2,3"),
)
def test_any_body_is_a_payload_or_an_error_of_a_request(
    header: str, start: bytes, data: bytes, shape: str | None
) -> None:
    try:
        payload = parse(body(start + data, header, shape), LIMITS)
    except RequestError:
        return
    assert 1 <= len(payload) <= LIMITS.max_images


@pytest.mark.parametrize("count", [4, 1000])
def test_files_beyond_the_limit_are_not_collected(count: int) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\na\r\n'
    with pytest.raises(RequestError, match="more than 3 files came; send at most 3"):
        parse(body(part * count + b"--x--", "multipart/form-data; boundary=x"), LIMITS)
