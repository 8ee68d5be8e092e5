"""Tensors of the Open Inference Protocol as bytes behind JSON: lengths that lie, other numbers."""

import struct
from collections.abc import Iterator

import numpy as np

from tests.abuse.families.inference import PIXELS, REFUSED, TARGET, infer_body, tensor
from tests.abuse.hostile import OK, Case, accept, once, request
from tests.abuse.samples import RAW


def cases(rng: np.random.Generator) -> Iterator[Case]:
    head = infer_body(tensor(data=None, parameters={"binary_data_size": PIXELS}))
    pixels = rng.bytes(PIXELS)
    yield _with_length("a good one", head + pixels, str(len(head)), accept(OK))
    for length in [
        *["", "0", "-1", "+5", "1e3", "nan", "9" * 30, "9" * 5000],
        *[str(len(head) + more) for more in (-1, 1, PIXELS + 1)],
        "٣".encode().decode("latin-1"),
    ]:
        name = f"a JSON of {length[:20]!r} bytes, in {len(length)} digits"
        yield _with_length(name, head + pixels, length, REFUSED)
    for name, data in {
        "none": b"",
        "one too few": pixels[1:],
        "one too many": pixels + b"\0",
        "of floats that are not numbers": struct.pack("<f", float("nan")) * PIXELS,
        "of floats that are infinite": struct.pack("<f", float("inf")) * PIXELS,
    }.items():
        yield _with_length(f"bytes, {name}", head + data, str(len(head)), REFUSED)
    for size in [0, -1, 2**63, 1.5, True, "192", None]:
        odd = infer_body(tensor(data=None, parameters={"binary_data_size": size}))
        yield _with_length(f"a size of {size!r}", odd + pixels, str(len(odd)), REFUSED)


def _with_length(name: str, body: bytes, length: str, accepted: frozenset[str]) -> Case:
    headers = [("Inference-Header-Content-Length", length)]
    return once(name, request(body, RAW, headers, target=TARGET), accepted)
