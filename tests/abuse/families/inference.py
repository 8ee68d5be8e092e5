"""Open Inference Protocol: invalid tensors as JSON, and as binary data after the JSON."""

import json
import struct
from collections.abc import Iterator, Mapping

import numpy as np

from tests.abuse.bodies import JSON, RAW
from tests.abuse.case import OK, Case, accept, once, posts, request

# The tests' bundle has this name and an input of 8 x 8.
TARGET = "/v2/models/tiny/infer"
PIXELS = 8 * 8 * 3
REJECTED = accept("v2-400", "v2-413", "v2-415", "v2-422")
WIDE = 15 * 2**20


def json_cases(_rng: np.random.Generator) -> Iterator[Case]:
    yield from posts({"a valid one": infer_body(tensor())}, JSON, accept(OK), target=TARGET)
    invalid = {**_numbers(), **_shapes(), **_kinds(), **_structure(), **_wide()}
    yield from posts(invalid, JSON, REJECTED, target=TARGET)
    yield from posts(_odd_options(), JSON, accept(OK, *REJECTED), target=TARGET)
    for path in ["/v2", "/v2/", "/v2/models", "/v2/models/tiny/versions/9/infer", "/v2/../predict"]:
        known = accept(OK, "v2-404", "v2-405", "not-found", "method-not-allowed", "plain-400")
        yield once(f"POST {path}", request(b"{}", JSON, target=path), known)


def tensor(**changes: object) -> dict[str, object]:
    valid = {"name": "images", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": [0] * PIXELS}
    return {**valid, **changes}


def infer_body(*tensors: object, **others: object) -> bytes:
    return json.dumps({"inputs": tensors, **others}).encode()


def _numbers() -> Mapping[str, bytes]:
    """Return bodies with one invalid pixel."""
    values = {
        "NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity", "1e999": "1e999",
        "-1": "-1", "256": "256", "1.5": "1.5", "1e308": "1e308",
        "2 to the 64th": str(2**64), "null": "null",
        "true": "true", "false": "false", "a list of true": "[true]",
        "a text": '"7"', "a list": "[7]", "an object": "{}", "no digits": "-",
        "a thousand digits": "9" * 1000, "a word": "nan", "a denormal": "5e-324",
    }  # fmt: skip
    valid = infer_body(tensor())
    return {
        f"a pixel that is {name}": valid.replace(b"[0, 0,", b"[0, " + text.encode() + b",", 1)
        for name, text in values.items()
    }


def _shapes() -> Mapping[str, bytes]:
    shapes: list[object] = [
        None, [], [1], [8, 8, 3], [1, 8, 8], [1, 8, 8, 4], [1, 3, 8, 8], [0, 8, 8, 3],
        [-1, 8, 8, 3], [2, 8, 8, 3], [1, 8, 8, 3, 1], [1.0, 8, 8, 3], ["1", 8, 8, 3],
        [[1], 8, 8, 3], [True, 8, 8, 3], [2**31, 8, 8, 3], [2**63, 8, 8, 3],
        [2**64, 2**64, 2**64, 3], [1, 2**62, 2**62, 3], "1,8,8,3", {"0": 1}, [1] * 100_000,
        [None, 8, 8, 3], [1e308, 8, 8, 3],
    ]  # fmt: skip
    return {f"a shape of {str(shape)[:40]}": infer_body(tensor(shape=shape)) for shape in shapes}


def _kinds() -> Mapping[str, bytes]:
    kinds: list[object] = [
        "FP32", "FP64", "FP16", "BF16", "BOOL", "BYTES", "INT64", "UINT64", "uint8", "", None, 8,
        "U" * 2**20,
    ]  # fmt: skip
    names: list[object] = ["", None, "image", "IMAGES", "images\0", 5, "i" * 2**20]
    return {
        **{f"datatype {str(kind)[:12]!r}": infer_body(tensor(datatype=kind)) for kind in kinds},
        **{f"a tensor named {str(name)[:12]!r}": infer_body(tensor(name=name)) for name in names},
    }


def _structure() -> Mapping[str, bytes]:
    valid = tensor()
    region = {"shared_memory_region": "/dev/shm/x", "shared_memory_byte_size": 2**62}  # noqa: S108
    nested = [[[[0, 0, 0]] * 8] * 7]
    return {
        "no body": b"",
        "no inputs": b"{}",
        "inputs null": b'{"inputs": null}',
        "inputs an object": b'{"inputs": {}}',
        "no tensor": infer_body(),
        "two tensors": infer_body(valid, valid),
        "10000 tensors": infer_body(*[valid | {"data": []}] * 10_000),
        "a tensor that is a list": infer_body([]),
        "a tensor without data": infer_body(
            {key: valid[key] for key in ("name", "datatype", "shape")}
        ),
        "data a text": infer_body(tensor(data="AAAA")),
        "data too short": infer_body(tensor(data=[0] * (PIXELS - 1))),
        "data too long": infer_body(tensor(data=[0] * (PIXELS + 1))),
        "data nested too short": infer_body(tensor(data=nested)),
        "data nested unevenly": infer_body(tensor(data=[[[[0, 0, 0]] * 8] * 7 + [[[0, 0]] * 8]])),
        "shared memory": infer_body(tensor(parameters=region)),
        "a size without bytes": infer_body(
            tensor(data=None, parameters={"binary_data_size": PIXELS})
        ),
        "an output that is not there": infer_body(valid, outputs=[{"name": "weights"}]),
        "10000 outputs": infer_body(valid, outputs=[{"name": "label"}] * 10_000),
        "an output twice": infer_body(valid, outputs=[{"name": "label"}, {"name": "label"}]),
        "an id of 1 MiB": infer_body(valid, id="i" * 2**20),
        "an id that is a number": infer_body(valid, id=7),
        "a negative timeout": infer_body(valid, parameters={"timeout": -1}),
        "100000 lists deep": b'{"inputs":' + b"[" * 100_000,
    }


def _wide() -> Mapping[str, bytes]:
    start = b'{"inputs":[{"name":"images","datatype":"UINT8","shape":[1,8,8,3],"data":['
    return {
        f"15 MiB of {name}": start + item * (WIDE // len(item)) + b"0]}]}"
        for name, item in [("numbers", b"0,"), ("lists", b"[],"), ("objects", b"{},")]
    }


def _odd_options() -> Mapping[str, bytes]:
    valid = tensor()
    return {
        "a sequence": infer_body(valid, parameters={"sequence_id": 2**63, "sequence_start": True}),
        "a priority": infer_body(valid, parameters={"priority": -(2**63)}),
        "a timeout of a century": infer_body(valid, parameters={"timeout": 2**62}),
        "unknown parameters": infer_body(valid, parameters={"x" * 1000: ["y"] * 1000}),
        "an id of a script": infer_body(valid, id="<script>"),
        "an id with line breaks": infer_body(valid, id="a\r\nSet-Cookie: b"),
        "binary outputs": infer_body(valid, parameters={"binary_data_output": True}),
    }


def binary_cases(rng: np.random.Generator) -> Iterator[Case]:
    head = infer_body(tensor(data=None, parameters={"binary_data_size": PIXELS}))
    pixels = rng.bytes(PIXELS)
    yield _with_length("a valid one", head + pixels, str(len(head)), accept(OK))
    for length in [
        *["", "0", "-1", "+5", "1e3", "nan", "9" * 30, "9" * 5000],
        *[str(len(head) + more) for more in (-1, 1, PIXELS + 1)],
        "٣".encode().decode("latin-1"),
    ]:
        name = f"a JSON of {length[:20]!r} bytes, in {len(length)} digits"
        yield _with_length(name, head + pixels, length, REJECTED)
    for name, data in {
        "none": b"",
        "one too few": pixels[1:],
        "one too many": pixels + b"\0",
        "of floats that are not numbers": struct.pack("<f", float("nan")) * PIXELS,
        "of floats that are infinite": struct.pack("<f", float("inf")) * PIXELS,
    }.items():
        yield _with_length(f"bytes, {name}", head + data, str(len(head)), REJECTED)
    for size in [0, -1, 2**63, 1.5, True, "192", None]:
        odd = infer_body(tensor(data=None, parameters={"binary_data_size": size}))
        yield _with_length(f"a size of {size!r}", odd + pixels, str(len(odd)), REJECTED)


def _with_length(name: str, body: bytes, length: str, accepted: frozenset[str]) -> Case:
    headers = [("Inference-Header-Content-Length", length)]
    return once(name, request(body, RAW, headers, target=TARGET), accepted)
