"""Read images and labels as uint8."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.command_line.progress import counted
from oodguard.models.counts import count_of
from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.sources.listing import MAX_NAMED, Listing, check_inliers
from oodguard.sources.pictures import decode_all, reason_of
from oodguard.sources.reader import list_source
from oodguard.sources.source import Source
from oodguard.training.config.sources import Inliers
from oodguard.training.data.cache import cached_images, is_large
from oodguard.training.data.images import Images, MappedImages, fingerprints

MIN_CALIBRATION = 20
"""The least number of calibration images, as in a recipe."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSet:
    """Images `(n, H, W, 3)` uint8 RGB, with labels and perhaps groups of near-duplicates.

    Many images are in a file instead of memory, see `images.MappedImages`.

    `labels` `(n,)` int64 are `NO_LABEL` for rows without a label, and all 0 for data without a
    label column. `groups` `(n,)` int64, if the source has them, are equal for near-duplicates.
    `split` is the split that was read, if the source has several. `positions` `(n,)` int64 are
    those of the images in `listing`, that of the source, in which images that cannot be read count;
    `left_out` are the numbers of these by reason, and `skipped` those of the files that are not
    read, by ending.
    """

    name: str
    images: Images
    labels: Tensor
    classes: tuple[str, ...]
    groups: Tensor | None = None
    split: str | None = None
    positions: Tensor | None = None
    listing: Listing | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.images.shape[0]

    def __str__(self) -> str:
        part = f"split {self.split} of " if self.split else ""
        return f"{part}{self.name}: {count_of(len(self), 'image')}"

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the images and the labels in batches; the last one may be smaller."""
        return zip(self.images.split(size), self.labels.split(size), strict=True)

    def subset(self, index: Tensor | slice) -> "ImageSet":
        """Return the images at `index`, in that order; those of a file are not read yet."""
        images = self.images
        return replace(
            self,
            images=images.select(index) if isinstance(images, MappedImages) else images[index],
            labels=self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            positions=None if self.positions is None else self.positions[index],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """The inliers in three disjoint parts; `calibration` is used for the threshold only.

    `copies` are the held-out images that are left out, as their pixels are in another part too.
    `fingerprints` `(n,)` are those of all inliers.
    """

    training: ImageSet
    validation: ImageSet
    calibration: ImageSet
    copies: ImageSet
    fingerprints: NDArray[np.uint64]


def to_pixels(images: Tensor) -> Tensor:
    """Convert uint8 `(n, H, W, 3)` to float32 `(n, 3, H, W)` in [0, 1], as the graph does."""
    return images.permute(0, 3, 1, 2).float() / 255


def load(source: Source, spec: InputSpec, *, labelled: bool = False) -> ImageSet:
    """Read a source; every image is prepared for `spec` as the service does it.

    Inliers are always `labelled`, see `list_source`.

    Raises:
        RecipeError: As `list_source`, or an image cannot be read.
    """
    listing = list_source(source, labelled=labelled or isinstance(source, Inliers))
    read = cached_images if is_large(listing, spec) else _in_memory
    images, kept, broken = read(listing, spec)
    if broken:
        _log.warning(
            "%s: left out %s that cannot be read: %s",
            listing.location,
            count_of(broken.total(), "image"),
            ", ".join(f"{count:,} ({reason})" for reason, count in broken.most_common()),
        )
    if not len(kept):
        raise RecipeError(f"{listing.location}: no image can be read, expected at least 1")
    groups = None
    if listing.groups is not None:
        groups = torch.from_numpy(np.unique(listing.groups[kept], return_inverse=True)[1])
    return ImageSet(
        name=source.name,
        images=images,
        labels=torch.from_numpy(listing.labels[kept]),
        classes=listing.classes,
        groups=groups,
        split=source.split,
        positions=torch.from_numpy(kept),
        listing=listing,
        left_out=dict(broken.most_common()),
        skipped=listing.skipped,
    )


def _in_memory(listing: Listing, spec: InputSpec) -> tuple[Tensor, NDArray[np.int64], Counter[str]]:
    images = np.empty((len(listing), spec.height, spec.width, 3), np.uint8)
    kept: list[int] = []
    broken: Counter[str] = Counter()
    advance = counted(len(listing))
    for position, pixels in decode_all(listing, spec):
        advance(1)
        if isinstance(pixels, str):
            broken[reason_of(pixels)] += 1
            continue
        images[len(kept)] = pixels
        kept.append(position)
    return torch.from_numpy(images[: len(kept)]), np.array(kept, np.int64), broken


def split(inliers: ImageSet, held_out: Inliers, *, seed: int) -> Split:
    """Split the inliers at random; the seed determines the parts, in every command.

    Images of one group are assigned to the same part, which may then be larger than configured by
    less than one group. A calibration image with exactly the pixels of a training or validation
    image is left out, and so is a validation image with those of a training image: no calibration
    image was trained on under another name. The training part does not change.

    Raises:
        RecipeError: Fewer than two classes, a label without a class, or too few images, also of a
            class for training.
    """
    check_inliers(inliers.name, inliers.classes, inliers.labels.numpy())
    held_out_images = held_out.validation + held_out.calibration
    if len(inliers) < 2 * held_out_images:
        raise RecipeError(
            f"inliers: validation + calibration is {held_out_images}, expected at most half of"
            f" {count_of(len(inliers), 'image')} in {inliers.name}"
        )
    first, second = held_out.validation, held_out_images
    generator = torch.Generator().manual_seed(seed)
    if inliers.groups is None:
        order = torch.randperm(len(inliers), generator=generator)
    else:
        group_order = torch.randperm(int(inliers.groups.max()) + 1, generator=generator)
        ranks = group_order[inliers.groups]
        order = ranks.argsort(stable=True)
        first, second = (_end_of_group(ranks[order], cut) for cut in (first, second))
    unordered = fingerprints(inliers.images)
    prints = unordered[order.numpy()]
    validation = ~np.isin(prints[:first], prints[second:])
    calibration = ~np.isin(prints[first:second], np.concatenate((prints[:first], prints[second:])))
    held_out_copies = order[:second][torch.from_numpy(~np.concatenate((validation, calibration)))]
    _check_all_classes_trained(inliers, order[second:])
    if not validation.any() or calibration.sum() < MIN_CALIBRATION:
        raise RecipeError(
            f"inliers: left out {len(held_out_copies):,} of the {second:,} held-out images in"
            f" {inliers.name}, as copies of training or validation images. Remaining"
            f" validation images: {validation.sum():,}, calibration images: {calibration.sum():,},"
            f" expected at least 1 and {MIN_CALIBRATION}. Remove the copies from the images"
        )
    return Split(
        validation=inliers.subset(order[:first][torch.from_numpy(validation)]),
        calibration=inliers.subset(order[first:second][torch.from_numpy(calibration)]),
        training=inliers.subset(order[second:]),
        copies=inliers.subset(held_out_copies),
        fingerprints=unordered,
    )


def _check_all_classes_trained(inliers: ImageSet, training: Tensor) -> None:
    counts = torch.bincount(inliers.labels[training], minlength=len(inliers.classes))
    missing = [name for name, count in zip(inliers.classes, counts, strict=True) if count == 0]
    if missing:
        cause = "" if inliers.groups is None else ", which have whole groups"
        raise RecipeError(
            f"inliers: {len(missing):,} of {len(inliers.classes):,} classes in {inliers.name} have"
            f" all of their images in validation and calibration{cause}, expected images of each"
            f" class for training: {', '.join(missing[:MAX_NAMED])}. Add images of these classes,"
            " or more and smaller groups, or drop the classes with leave_out"
        )


def _end_of_group(sorted_groups: Tensor, cut: int) -> int:
    """Return the first position at or after `cut` that does not divide a group."""
    return int(torch.searchsorted(sorted_groups, sorted_groups[cut - 1], right=True))
