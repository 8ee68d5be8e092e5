"""Small bodies that would take much memory or time to take apart are refused before that."""

import tracemalloc

import pytest
from python_multipart.multipart import MultipartParser

from oodguard.service.errors import InvalidImage, TooManyImages, WrongFields
from oodguard.service.images.body import content_type, parse
from oodguard.service.images.formats import MOST_VALUES
from oodguard.service.images.types import Body, RequestLimits

LIMITS = RequestLimits(max_body_bytes=2**24, max_images=4, max_pixels=100)
MOST = MOST_VALUES + LIMITS.max_images


def body(data: bytes, header: str) -> Body:
    kind, options = content_type(header)
    return Body(data=data, content_type=kind, options=options, shape=None)


@pytest.mark.parametrize("item", [b"[],", b"{},", b"1,", b'"",', b"[[[]]],"])
def test_json_of_millions_of_values_is_refused_before_they_take_memory(item: bytes) -> None:
    wide = body(b'{"images":[' + item * 10**6 + b'""]}', "application/json")
    tracemalloc.start()
    try:
        with pytest.raises(WrongFields, match="values came; at most 131076 are read"):
            parse(wide, LIMITS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_json_of_as_many_values_as_are_read_is_judged_by_what_it_says() -> None:
    # The object and its list are values too, each behind its bracket; every other has a comma.
    filled = b'{"images":[' + b'"",' * (MOST - 2) + b'""]}'
    with pytest.raises(TooManyImages, match=f"{MOST - 1} images came; send at most 4"):
        parse(body(filled, "application/json"), LIMITS)
    with pytest.raises(WrongFields, match="values came"):
        parse(body(filled.replace(b"[", b'["",', 1), "application/json"), LIMITS)


def test_commas_within_base64_do_not_occur_so_one_large_image_is_read() -> None:
    large = body(b'{"images":["' + b"AAAA" * MOST + b'"]}', "application/json")
    (image,) = parse(large, LIMITS)
    assert image.data == bytes(3 * MOST)


@pytest.mark.parametrize("line", [b"\r\n--xA", b"\r\n--x-A", b"\r\n--x\r", b"\r\n--x\r\n"])
def test_multipart_whose_lines_all_begin_with_the_boundary_is_refused_unread(
    line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(*_: object) -> None:
        pytest.fail("the parser was put to work")

    monkeypatch.setattr(MultipartParser, "write", written)
    head = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
    near = body(head + line * 1000 + b"\r\n--x--\r\n", "multipart/form-data; boundary=x")
    with pytest.raises(TooManyImages, match="1001 lines begin with the boundary"):
        parse(near, LIMITS)


def test_a_file_may_hold_lines_that_begin_with_the_boundary_while_they_are_few() -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
    near = body(head + b"a\r\n--xb\r\n--x--\r\n", "multipart/form-data; boundary=x")
    (image,) = parse(near, LIMITS)
    assert bytes(image.data) == b"a\r\n--xb"


def test_raw_pixels_have_no_side_that_is_longer_than_an_encoded_one() -> None:
    limits = RequestLimits(max_body_bytes=2**24, max_images=4, max_pixels=10**6)
    kind, options = content_type("application/octet-stream")
    strip = bytes(3 * 65_536)
    long = Body(data=strip, content_type=kind, options=options, shape="1,65536,1,3")
    with pytest.raises(InvalidImage, match="image 0: 1 x 65536 pixels came; a side of at most"):
        parse(long, limits)
    short = Body(data=strip[3:], content_type=kind, options=options, shape="1,1,65535,3")
    assert len(parse(short, limits)) == 1
