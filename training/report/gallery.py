"""The gallery of false accepts: clean, attacked and amplified perturbation, as PNG data URIs."""

import base64
import io
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodguard.training.report.evidence import FalseAccept

Pixels = NDArray[np.float32]

MAX_BYTES = 240_000
"""The most bytes of encoded images in a page, which stays small enough for a repository."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryCase:
    """A false accept and the data URIs of its images by the words that label them."""

    case: FalseAccept
    images: dict[str, str]


def gallery(
    cases: tuple[FalseAccept, ...], epsilon_255: float, *, max_bytes: int = MAX_BYTES
) -> list[GalleryCase]:
    """Encode as many of the worst false accepts of a budget as `max_bytes` allow."""
    encoded: list[GalleryCase] = []
    for case in worst_first(cases, epsilon_255):
        images = {
            "clean": png_uri(_unit(case.clean)),
            "attacked": png_uri(case.attacked),
            "perturbation": png_uri(amplified(case)),
        }
        max_bytes -= sum(map(len, images.values()))
        if max_bytes < 0:
            break
        encoded.append(GalleryCase(case=case, images=images))
    return encoded


def worst_first(cases: tuple[FalseAccept, ...], epsilon_255: float) -> list[FalseAccept]:
    """Return the cases of one budget: the worst of every set, then the second worst, and so on."""
    by_set: dict[str, list[FalseAccept]] = {}
    for case in sorted(cases, key=lambda case: case.score):
        if case.epsilon_255 == epsilon_255:
            by_set.setdefault(case.set_name, []).append(case)
    rounds = zip_longest(*(by_set[name] for name in sorted(by_set)))
    return [case for case in chain.from_iterable(rounds) if case]


def amplified(case: FalseAccept) -> Pixels:
    """Return the perturbation with 0 as middle grey, -epsilon as black and +epsilon as white."""
    perturbation = case.attacked - _unit(case.clean)
    shown = 0.5 + perturbation * (255 / (2 * case.epsilon_255))
    return shown.clip(0, 1).astype(np.float32)


def png_uri(pixels: Pixels) -> str:
    """Return an image `(H, W, 3)` in [0, 1] as the data URI of a PNG."""
    file = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _unit(pixels: NDArray[np.uint8]) -> Pixels:
    return pixels.astype(np.float32) / np.float32(255)
