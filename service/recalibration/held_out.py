"""Held-out images: from a source to the rows of a calibration."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.errors import CalibrationError, RecipeError
from oodguard.models.manifest import Description
from oodguard.models.names import text_of
from oodguard.models.qualities import measure
from oodguard.sources.listing import Encoded, Listing
from oodguard.sources.pictures import Size, decode_all, reason_of

BATCH_PIXELS = 64 * 224 * 224
"""The number of pixels that are in one run of the graph at most."""


_Part = tuple[NDArray[np.int64], NDArray[np.float32], dict[str, NDArray[np.float32]]]
"""Of a batch: the predicted classes `(n,)`, the scores `(n, S)` and the qualities by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """The rows of the calibration, and what became of the other images.

    The rows are in the order of the sha256 of their pixels: one image of each group is drawn by the
    order of the rows, and the draw must not depend on names. `positions` `(n,)` are those of the
    rows in the listing, `broken` the numbers of images that cannot be read by the reason, `copies`
    the number of images with the pixels of an earlier one.
    """

    rows: CalibrationRows
    positions: NDArray[np.int64]
    broken: Mapping[str, int]
    copies: int


def hold_out(  # noqa: PLR0913 - by keyword
    listing: Listing,
    manifest: Description,
    run: RunGraph,
    *,
    score: str,
    number_of: NDArray[np.int32] | None,
    advance: Callable[[int], None] = lambda _: None,
) -> HeldOut:
    """Score all images of a listing; an image with the pixels of an earlier one is left out.

    `score` is the deciding one. `number_of` maps the labels of the listing to classes of the model;
    None: no labels. `advance` is called with the number of images after each batch.

    Raises:
        RecipeError: Images cannot be read.
        CalibrationError: A score is not a finite number, or `score` is the same for all images.
    """
    broken: Counter[str] = Counter()
    positions: list[int] = []
    parts: list[_Part] = []
    unique = _Unique()
    sizes: dict[int, Size] = {}
    size = max(1, BATCH_PIXELS // (manifest.input.height * manifest.input.width))
    decoded = unique.select(_readable(decode_all(listing, manifest.input, sizes), broken))
    while batch := list(islice(decoded, size)):
        images = np.stack([pixels for _, pixels in batch])
        logits, scores = run(images)
        headers = [sizes[position] for position, _ in batch]
        parts.append((logits.argmax(axis=1), scores, measure(images, headers)))
        positions += [position for position, _ in batch]
        advance(len(batch))
    if not parts:
        raise RecipeError(f"{listing.location}: no image can be read, expected at least 1")
    order = unique.order()
    predicted, values, qualities = zip(*parts, strict=True)
    table = np.concatenate(values)[order]
    kept = np.array(positions, np.int64)[order]
    for at, name in enumerate(manifest.scores):
        _check_finite(listing, kept, name, table[:, at])
    _check_varies(listing, score, table[:, manifest.scores.index(score)])
    groups = None if listing.groups is None else listing.groups[kept]
    return HeldOut(
        rows=CalibrationRows(
            scores={name: table[:, at] for at, name in enumerate(manifest.scores)},
            predicted=np.concatenate(predicted)[order].astype(np.int32),
            labels=None if number_of is None else number_of[listing.labels[kept]],
            groups=None
            if groups is None
            else np.unique(groups, return_inverse=True)[1].astype(np.int32),
            qualities={
                name: np.concatenate([each[name] for each in qualities])[order]
                for name in qualities[0]
            },
        ),
        positions=kept,
        broken=dict(broken.most_common()),
        copies=unique.copies,
    )


def names_at(listing: Listing, positions: NDArray[np.int64]) -> list[str]:
    """Return the names of the images at these positions of a listing, in this order."""
    order = np.argsort(positions, kind="stable")
    names = [_with_path(*picture) for picture in listing.select(positions[order]).pictures()]
    return [names[at] for at in np.argsort(order, kind="stable")]


def _with_path(name: str, encoded: Encoded) -> str:
    """Return the name of a row with the file that it names: a person looks at the file."""
    path = text_of(encoded) if isinstance(encoded, Path) else ""
    if path in name:
        return name
    return path if path.endswith(f"/{name}") else f"{name} ({path})"


class _Unique:
    """Leaves out images with the pixels of an earlier one, counts them, and orders the others."""

    def __init__(self) -> None:
        self.copies = 0
        # The digests in the order of the images.
        self._known: dict[bytes, None] = {}

    def select(
        self, images: Iterator[tuple[int, NDArray[np.uint8]]]
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for position, pixels in images:
            digest = hashlib.sha256(pixels.tobytes()).digest()
            if digest in self._known:
                self.copies += 1
                continue
            self._known[digest] = None
            yield position, pixels

    def order(self) -> NDArray[np.intp]:
        """Return the places of the selected images in the order of their digests."""
        digests = [*self._known]
        return np.array(sorted(range(len(digests)), key=digests.__getitem__), np.intp)


def _readable(
    decoded: Iterator[tuple[int, NDArray[np.uint8] | str]], broken: Counter[str]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for position, pixels in decoded:
        if isinstance(pixels, str):
            broken[reason_of(pixels)] += 1
        else:
            yield position, pixels


def _check_finite(
    listing: Listing, positions: NDArray[np.int64], name: str, column: NDArray[np.float32]
) -> None:
    invalid = np.flatnonzero(~np.isfinite(column))
    if len(invalid):
        (first,) = names_at(listing, positions[invalid[:1]])
        raise CalibrationError(
            f"{listing.location}: the score {name} of {len(invalid):,} of {len(column):,} images is"
            f" not a finite number, such as {column[invalid[0]]} of {first}, expected finite"
            " numbers. Leave these images out"
        )


def _check_varies(listing: Listing, name: str, column: NDArray[np.float32]) -> None:
    if (column == column[0]).all():
        raise CalibrationError(
            f"{listing.location}: the score {name} of all {len(column):,} images is"
            f" {column[0]:.6g}, expected different scores. Check that the images are those that the"
            " service receives"
        )
