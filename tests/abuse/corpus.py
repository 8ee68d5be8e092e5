"""The corpus of hostile requests: families of cases, generated from one seed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from tests.abuse.case import Case
from tests.abuse.families import (
    content,
    damaged,
    framing,
    heads,
    inference,
    json_bodies,
    kinds,
    metadata,
    multipart_bodies,
    pixel_bombs,
    png_chunks,
    sizes,
    slow,
)

SEED = 20261124

Family = Callable[[np.random.Generator], Iterator[Case]]

FAMILIES: Mapping[str, Family] = {
    "pixel bombs": pixel_bombs.cases,
    "png chunks": png_chunks.cases,
    "compressed": content.encoding_cases,
    "cut images": damaged.cut_image_cases,
    "cut bodies": damaged.cut_body_cases,
    "lengths": sizes.length_cases,
    "shapes": sizes.shape_cases,
    "content types": content.type_cases,
    "metadata": metadata.cases,
    "kinds": kinds.cases,
    "json": json_bodies.cases,
    "multipart": multipart_bodies.cases,
    "inference": inference.json_cases,
    "inference bytes": inference.binary_cases,
    "framing": framing.chunk_cases,
    "protocols": framing.protocol_cases,
    "targets": heads.target_cases,
    "headers": heads.header_cases,
    "mutated": damaged.mutated_cases,
    "slow": slow.cases,
}


def corpus(seed: int = SEED) -> Iterator[Case]:
    """Yield the cases one by one, because together they would take gigabytes of memory."""
    for name in FAMILIES:
        yield from family(name, seed)


def family(name: str, seed: int = SEED) -> Iterator[Case]:
    """Yield the cases of one family; its bytes do not depend on the other families."""
    rng = np.random.default_rng([seed, *name.encode()])
    for case in FAMILIES[name](rng):
        yield replace(case, name=f"{name}/{case.name}")


def digest(case: Case) -> str:
    """Return the sha256 of all steps of a case, including its pauses."""
    steps = [step if isinstance(step, bytes) else repr(step).encode() for step in case.steps]
    return hashlib.sha256(b"\0".join(steps)).hexdigest()
