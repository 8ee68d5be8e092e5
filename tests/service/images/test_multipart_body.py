"""Multipart bodies: parsed as they were written, or rejected with the reason."""

import gc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser
from starlette.testclient import TestClient

from oodguard.service.errors import (
    MalformedBody,
    RequestError,
    TooManyImages,
)
from oodguard.service.images.header import EncodedImage
from tests.service.checks import post, problem
from tests.service.images.bodies import MULTIPART, parsed

PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'


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


@pytest.mark.parametrize(
    ("body", "parameter", "cause"),
    [
        pytest.param(
            b"--x\r\n\r\n--x--\r\n", "", "has no parameter boundary", id="no boundary parameter"
        ),
        pytest.param(
            b"x",
            f"; boundary={'b' * 900}",
            "the boundary of Content-Type has 900 bytes, expected at most 256",
            id="long boundary",
        ),
        pytest.param(b"", "; boundary=x", "no closing boundary", id="empty"),
        pytest.param(b"hello", "; boundary=x", "invalid at byte 0", id="no boundary"),
        pytest.param(
            b"--y\r\n\r\n--y--\r\n", "; boundary=x", "invalid at byte 2", id="another boundary"
        ),
        pytest.param(PART + b"abc", "; boundary=x", "no closing boundary", id="truncated file"),
        pytest.param(PART[:30], "; boundary=x", "no closing boundary", id="truncated header"),
        pytest.param(
            b"--x\r\nbad\r\n\r\na\r\n--x--\r\n",
            "; boundary=x",
            "invalid at byte 8",
            id="invalid header",
        ),
        pytest.param(b"--x\r\n\r\nabc\r\n--x--\r\n", "; boundary=x", "part 0", id="no field name"),
    ],
)
def test_malformed_multipart_is_rejected_with_the_cause(
    client: TestClient, body: bytes, parameter: str, cause: str
) -> None:
    answer = problem(post(client, body, f"multipart/form-data{parameter}"), 400, "malformed-body")
    assert cause in answer.detail


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
    with pytest.raises(TooManyImages, match="1001 images, or lines that start with the boundary"):
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
