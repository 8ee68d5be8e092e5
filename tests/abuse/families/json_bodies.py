"""JSON that is deep, wide, ambiguous, or of other values than strings."""

import json
from collections.abc import Iterator, Mapping

import numpy as np

from tests.abuse.bodies import JSON, json_images
from tests.abuse.case import OK, Case, accept, posts
from tests.service.pictures import encode, plain

# Close to the limit of 16 MiB, and far more than that once parsed.
WIDE = 15 * 2**20


def cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from posts(_not_json(), JSON, accept("malformed-body"))
    yield from posts(_other_fields(), JSON, accept("wrong-fields"))
    yield from posts(_not_base64(rng), JSON, accept("undecodable-image"))
    long = json.dumps({"images": ["A" * 2**22 + "😀"]}).encode()
    yield from posts({"an emoji in 4 MiB of letters": long}, JSON, accept("wrong-fields"))
    # Whether the nesting or the number of values is noticed first is not promised.
    too_much = accept("malformed-body", "wrong-fields", "too-many-images")
    yield from posts(_deep_or_wide(), JSON, too_much)
    valid = json_images(encode(plain()))
    ambiguous = {
        "the field twice": valid[:-1] + b"," + valid[1:],
        "the field twice, once wrong": b'{"images": [1],' + valid[1:],
        "a byte order mark": b"\xef\xbb\xbf" + valid,
        "spaces around it": b" \n\t\r" * 5000 + valid + b" " * 5000,
        "the field's name in escapes": valid.replace(b"images", b"\\u0069mages"),
    }
    yield from posts(ambiguous, JSON, accept(OK, "malformed-body", "wrong-fields"))


def _not_json() -> Mapping[str, bytes]:
    return {
        "one NUL": b"\0",
        "a comment": b'/**/{"images": ["AAAA"]}',
        "single quotes": b"{'images': ['AAAA']}",
        "a comma at the end": b'{"images": ["AAAA",]}',
        "no comma": b'{"images": ["AAAA" "AAAA"]}',
        "two documents": b'{"images": ["AAAA"]}{"images": ["AAAA"]}',
        "NaN": b'{"images": [NaN]}',
        "Infinity": b'{"images": [Infinity, -Infinity]}',
        "a number beyond a double": b'{"images": [1e999]}',
        "an integer of a million digits": b'{"images": [' + b"9" * 10**6 + b"]}",
        "a leading zero": b'{"images": [007]}',
        "a hexadecimal number": b'{"images": [0x1F]}',
        "invalid UTF-8": b'{"images": ["\xff\xfe\xfd"]}',
        "overlong UTF-8": b'{"images": ["\xc0\xaf"]}',
        "a UTF-8 surrogate": b'{"images": ["\xed\xa0\x80"]}',
        "a lone escaped surrogate": b'{"images": ["\\ud800"]}',
        "an unknown escape": b'{"images": ["\\x41"]}',
        "a raw line break in a string": b'{"images": ["A\nA"]}',
        "UTF-16": '{"images": ["AAAA"]}'.encode("utf-16"),
        "UTF-32": '{"images": ["AAAA"]}'.encode("utf-32"),
        "a word": b"images",
        "a YAML": b"images:\n  - AAAA\n",
    }


def _other_fields() -> Mapping[str, bytes]:
    values: dict[str, object] = {
        "null": None, "true": True, "a number": 1e308, "a string": "images", "a list": [],
        "an empty object": {}, "an empty name": {"": ["AAAA"]}, "another case": {"Images": ["A"]},
        "a name with NUL": {"images\0": ["AAAA"]}, "a field more": {"images": ["A"], "x": 1},
        "__proto__": {"__proto__": {"images": ["AAAA"]}}, "a name of 1 MiB": {"i" * 2**20: []},
        "images null": {"images": None}, "images a string": {"images": "AAAA"},
        "images an object": {"images": {"0": "AAAA"}}, "images empty": {"images": []},
        "an image null": {"images": [None]}, "an image a number": {"images": [1.5]},
        "an image a list": {"images": [["AAAA"]]}, "an image an object": {"images": [{}]},
        "an image a big number": {"images": [2**63]}, "a tensor": {"images": [[[[0.5, 1.0, 2.0]]]]},
        "the infer protocol": {"inputs": [{"name": "images", "shape": [1], "datatype": "UINT8"}]},
    }  # fmt: skip
    return {name: json.dumps(value).encode() for name, value in values.items()}


def _not_base64(rng: np.random.Generator) -> Mapping[str, bytes]:
    texts = {
        "an empty string": "", "a space": " ", "one letter": "A", "three letters": "AAA",
        "padding alone": "====", "padding in the middle": "AA==AA==", "a line break": "AAAA\n",
        "too much padding": "AAAA====", "the URL alphabet": "_-_-", "a path": "../../etc/passwd",
        "a data URL": "data:image/png;base64,AA==", "an address": "http://169.254.169.254/latest",
        "wide letters": "\uff21" * 4, "an emoji": "😀" * 100, "a NUL": "AA\0A",
        "base64 of nothing much": "AAAA", "base64 of random bytes": rng.bytes(30).hex(),
        "a data URL of text": "data:text/plain,hello", "a data URL within one": "data:;base64," * 2,
        "a data URL of 4 MiB of parameters": "data:" + ";base64" * 2**19 + ",AAAA",
    }  # fmt: skip
    return {name: json.dumps({"images": [text]}).encode() for name, text in texts.items()}


def _deep_or_wide() -> Mapping[str, bytes]:
    def filled(item: bytes, start: bytes = b'{"images":[', end: bytes = b'""]}') -> bytes:
        return start + item * ((WIDE - 64) // len(item)) + end

    return {
        "100000 lists deep": b"[" * 100_000 + b"]" * 100_000,
        "100000 objects deep": b'{"images":' * 100_000 + b"1" + b"}" * 100_000,
        "1000000 lists that never end": b"[" * 10**6,
        "1000 lists deep": b'{"images":' + b"[" * 1000 + b"]" * 1000 + b"}",
        "5 million lists": filled(b"[],"),
        "5 million objects": filled(b"{},"),
        "7 million numbers": filled(b"1,"),
        "3 million strings": filled(b'"a",'),
        "the field a million times": filled(b'"images":[],', b"{", b'"images":[]}'),
        "a million other fields": b"{" + b",".join(b'"%d":0' % n for n in range(10**6)) + b"}",
        "257 strings": json.dumps({"images": ["AAAA"] * 257}).encode(),
        "100000 empty strings": json.dumps({"images": [""] * 100_000}).encode(),
    }
