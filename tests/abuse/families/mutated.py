"""Valid requests with a few bytes changed at random."""

from collections.abc import Iterator

import numpy as np

from tests.abuse.bodies import JSON, MULTIPART, encodings, json_images, multipart, noise
from tests.abuse.case import DECODED, Case, accept, once, request

ROUNDS = 10


def cases(rng: np.random.Generator) -> Iterator[Case]:
    pictures = encodings(noise(rng))
    bodies = {
        **pictures,
        "JSON": (JSON, json_images(pictures["png"][1])),
        "multipart": (MULTIPART, multipart(pictures["png"][1], pictures["jpeg"][1])),
    }
    accepted = accept("malformed-body", "wrong-fields", *DECODED)
    for kind, (content_type, body) in bodies.items():
        for number in range(ROUNDS):
            yield once(f"{kind}, {number}", request(_changed(body, rng), content_type), accepted)


def _changed(data: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite, remove or repeat a few bytes, more often near the start."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        place = int(len(changed) * rng.random() ** 3)
        width = int(rng.integers(1, 5))
        what = rng.integers(3)
        if what == 0:
            changed[place : place + width] = rng.bytes(width)
        elif what == 1:
            del changed[place : place + width]
        else:
            changed[place:place] = changed[place : place + width] * int(rng.integers(1, 50))
    return bytes(changed)
