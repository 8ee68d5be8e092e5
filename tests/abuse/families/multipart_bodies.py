"""Multipart bodies with invalid headers, names or boundaries, and with too many files."""

from collections.abc import Iterator, Mapping

import numpy as np

from tests.abuse.bodies import BOUNDARY, END, MULTIPART, multipart, part
from tests.abuse.case import OK, Case, accept, posts
from tests.service.pictures import encode, plain

PICTURE = encode(plain())
LINE = b"\r\n--" + BOUNDARY.encode()
WIDE = 15 * 2**20
FILE = b'form-data; name="files"; filename='


def cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from posts(_odd_names(), MULTIPART, accept(OK))
    either = accept(OK, "malformed-body", "wrong-fields", "undecodable-image")
    yield from posts({**_dispositions(), **_lines(rng)}, MULTIPART, either)
    yield from posts(_headers(), MULTIPART, accept("malformed-body", "wrong-fields"))
    yield from posts(_many(), MULTIPART, accept("too-many-images"))
    near = accept("too-many-images", "malformed-body", "undecodable-image")
    yield from posts(_near_boundaries(), MULTIPART, near)


def _odd_names() -> Mapping[str, bytes]:
    names = {
        "a path": b'"../../etc/passwd"', "a Windows path": b'"C:\\\\x\\\\y.png"', "nothing": b'""',
        "3000 letters": b'"' + b"n" * 3000 + b'"', "NUL": b'"a\0b.png"',
        "invalid UTF-8": b'"\xff\xfe"',
        "a script": b'"<script>alert(1)</script>"', "terminal escapes": b'"\x1b[2J\x1b]0;x\x07"',
        "right to left": '"\u202egnp.exe"'.encode(), "a format": b'"%s%n{0}{__class__}"',
        "an unclosed quote": b'"a', "no quotes": b"a b c", "an escaped quote": b'"a\\"b"',
        "a second name in UTF-8": b"\"a\"; filename*=utf-8''%e2%82%ac",
    }  # fmt: skip
    return {
        f"a file named {name}": part(PICTURE, FILE + value) + END for name, value in names.items()
    }


def _dispositions() -> Mapping[str, bytes]:
    dispositions = {
        "of another field": b'form-data; name="file"', "of no field": b"form-data",
        "that is empty": b"", "that is an attachment": b'attachment; name="files"',
        "of two fields": b'form-data; name="files"; name="x"',
        "of a field in capitals": b'form-data; name="FILES"',
        "of a field with NUL": b'form-data; name="files\0"',
        "without quotes": b"form-data; name=files",
        "of 700 options": b"form-data" + b"; a=b" * 700,
        "in UTF-8": b"form-data; name*=utf-8''files",
        "twice": b'form-data; name="x"\r\nContent-Disposition: form-data; name="files"',
        "of a field in pieces": b'form-data; name*0="fil"; name*1="es"',
    }  # fmt: skip
    return {
        f"a disposition {name}": part(PICTURE, value) + END for name, value in dispositions.items()
    }


def _headers() -> Mapping[str, bytes]:
    start = LINE[2:] + b"\r\n"
    return {
        "1000 headers in a part": start + b"a: b\r\n" * 1000 + b"\r\nx" + b"\r\n" + END,
        "a header of 1 MiB": start + b"Content-Disposition: " + b"x" * 2**20 + b"\r\n\r\n" + END,
        "a header's name of 1 MiB": start + b"x" * 2**20 + b": y\r\n\r\n" + END,
        "a header of 1 MiB of spaces": start + b"a:" + b" " * 2**20 + b"b\r\n\r\n" + END,
        "a header without a colon": start + b"nonsense\r\n\r\n" + END,
        "a header without a name": start + b": x\r\n\r\n" + END,
        "a header with NUL in its name": start + b"a\0b: x\r\n\r\n" + END,
        "a header with a bare CR": start + b"a: x\ry: z\r\n\r\n" + END,
        "a header that is folded": start
        + b"Content-Disposition: form-data;\r\n name=files\r\n\r\n"
        + END,
        "no headers": start + b"\r\nx\r\n" + END,
    }


def _lines(rng: np.random.Generator) -> Mapping[str, bytes]:
    whole = multipart(PICTURE)
    return {
        "lines that end in LF alone": whole.replace(b"\r\n", b"\n"),
        "a preamble": b"This is a message in MIME format.\r\n" + whole,
        "a preamble of line breaks": b"\r\n" * 2**20 + whole,
        "an epilogue": whole + b"and the rest",
        "an epilogue of 4 MiB": whole + rng.bytes(2**22),
        "an epilogue that is a body": whole + whole,
        "spaces behind the boundary": whole.replace(LINE[2:] + b"\r\n", LINE[2:] + b"  \r\n"),
        "the end alone": END,
        "the end twice": whole + END,
        "a body within the body": part(b"--inner\r\n\r\nx\r\n--inner--") + END,
        "an empty file": part(b"") + END,
        "a text instead of a file": part(b"hello", b'form-data; name="files"') + END,
    }


def _many() -> Mapping[str, bytes]:
    return {
        "257 files": multipart(*[b"x"] * 257),
        "10000 files": multipart(*[b"x"] * 10_000),
        "100000 empty files": part(b"") * 100_000 + END,
    }


def _near_boundaries() -> Mapping[str, bytes]:
    """Return files of lines that begin like the boundary, which the parser must compare."""

    def filled(line: bytes) -> bytes:
        return part(line * (WIDE // len(line))) + END

    return {
        "lines that are a boundary and more": filled(LINE + b"A"),
        "lines that are a boundary and a hyphen": filled(LINE + b"-A"),
        "lines that are a boundary and a CR": filled(LINE + b"\r"),
        "lines that are all of a boundary but one letter": filled(LINE[:-1]),
        "line breaks": filled(b"\r\n"),
        "carriage returns": filled(b"\r"),
        "hyphens": filled(b"-"),
    }
