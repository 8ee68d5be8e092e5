"""Pictures cut off at every kind of boundary that their formats have."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from tests.abuse.hostile import DECODED, Case, once, request
from tests.abuse.samples import MULTIPART, encodings, multipart, noise

CUTS_AT_RANDOM = 6


def cases(rng: np.random.Generator) -> Iterator[Case]:
    seen: set[tuple[str, bytes]] = set()
    for kind, (mime, data) in encodings(noise(rng)).items():
        boundaries = [*range(1, 32, 5), *_marks(data), len(data) - 1, len(data) - 12]
        cuts = [*boundaries, *rng.integers(1, len(data), CUTS_AT_RANDOM).tolist()]
        for cut in sorted(set(cuts)):
            # Two kinds of one format begin with the same bytes.
            if (mime, data[:cut]) not in seen:
                yield once(f"{kind}, {cut} bytes", request(data[:cut], mime), DECODED)
            seen.add((mime, data[:cut]))
        middle = request(multipart(data, data[: len(data) // 2], data), MULTIPART)
        yield once(f"{kind}, the second of three files", middle, DECODED)
        yield once(f"{kind}, without its first byte", request(data[1:], mime), DECODED)
        yield once(f"{kind}, twice", request(data + data, mime), DECODED)


def _marks(data: bytes) -> Sequence[int]:
    """Where a chunk or segment begins, and four bytes later, within its head."""
    if data.startswith(b"\xff\xd8"):
        found = [match.start() for match in re.finditer(rb"\xff[\xc0-\xfe]", data)]
    else:
        found = [match.start() for match in re.finditer(rb"IDAT|IEND|VP8[LX ]", data)]
    # The segments of the headers are told apart; the many chance ones within the pixels are not.
    return [place + step for place in (*found[:6], found[-1]) for step in (0, 4)]
