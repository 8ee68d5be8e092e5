"""Every hostile request there is: the families one after another, drawn from one seed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from tests.abuse.families import (
    compressed,
    content_types,
    cut_bodies,
    cut_images,
    framing,
    headers,
    inference,
    inference_bytes,
    json_bodies,
    kinds,
    lengths,
    metadata,
    multipart_bodies,
    mutated,
    pixel_bombs,
    png_chunks,
    protocols,
    shapes,
    slow,
    targets,
)
from tests.abuse.hostile import Case

SEED = 20261124

Family = Callable[[np.random.Generator], Iterator[Case]]

FAMILIES: Mapping[str, Family] = {
    "pixel bombs": pixel_bombs.cases,
    "png chunks": png_chunks.cases,
    "compressed": compressed.cases,
    "cut images": cut_images.cases,
    "cut bodies": cut_bodies.cases,
    "lengths": lengths.cases,
    "shapes": shapes.cases,
    "content types": content_types.cases,
    "metadata": metadata.cases,
    "kinds": kinds.cases,
    "json": json_bodies.cases,
    "multipart": multipart_bodies.cases,
    "inference": inference.cases,
    "inference bytes": inference_bytes.cases,
    "framing": framing.cases,
    "protocols": protocols.cases,
    "targets": targets.cases,
    "headers": headers.cases,
    "mutated": mutated.cases,
    "slow": slow.cases,
}


def corpus(seed: int = SEED) -> Iterator[Case]:
    """Make the requests one by one: together they would take gigabytes."""
    for name in FAMILIES:
        yield from family(name, seed)


def family(name: str, seed: int = SEED) -> Iterator[Case]:
    """Make one family; its bytes do not depend on the others."""
    rng = np.random.default_rng([seed, *name.encode()])
    for case in FAMILIES[name](rng):
        yield replace(case, name=f"{name}/{case.name}")


def digest(case: Case) -> str:
    """The sha256 of all that a case sends, pauses and all."""
    steps = [step if isinstance(step, bytes) else repr(step).encode() for step in case.steps]
    return hashlib.sha256(b"\0".join(steps)).hexdigest()
