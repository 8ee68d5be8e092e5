"""Read images and labels into memory as uint8, through Hugging Face `datasets`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.errors import ImageError, RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import prepare
from oodguard.training.config.sources import ClassKey, Inliers, Source

NO_LABEL = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSet:
    """Images `(n, H, W, 3)` uint8 RGB, with labels and perhaps groups of near-duplicates.

    `labels` `(n,)` int64 are `NO_LABEL` for rows without a label, and all 0 for data without a
    label column. `groups` `(n,)` int64, if the source has them, are equal for near-duplicates.
    `split` is the split that was read, if the source has several.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    groups: Tensor | None = None
    split: str | None = None

    def __len__(self) -> int:
        return self.images.shape[0]

    def __str__(self) -> str:
        part = f"split {self.split} of " if self.split else ""
        return f"{part}{self.name}: {len(self):,} images"

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the images and the labels in batches; the last one may be smaller."""
        return zip(self.images.split(size), self.labels.split(size), strict=True)

    def subset(self, index: Tensor | slice) -> "ImageSet":
        """Return the images at `index`, in that order."""
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            groups=None if self.groups is None else self.groups[index],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """The inliers in three disjoint parts; `calibration` is used for the threshold only."""

    training: ImageSet
    validation: ImageSet
    calibration: ImageSet


def to_pixels(images: Tensor) -> Tensor:
    """Convert uint8 `(n, H, W, 3)` to float32 `(n, 3, H, W)` in [0, 1], as the graph does."""
    return images.permute(0, 3, 1, 2).float() / 255


def load(source: Source, spec: InputSpec) -> ImageSet:
    """Read a source; every image is prepared for `spec` as the service does it.

    First the classes that the source leaves out are dropped, then the images beyond its limit. A
    Parquet file keeps its order. Folders and hub data sets, which are usually sorted by class, are
    shuffled with a fixed seed, so that the first images are a representative sample.

    Raises:
        RecipeError: the source or one of its images cannot be read, it has no images, or it has no
            image column.
    """
    table = _open(source)
    label = _column(table, datasets.ClassLabel)
    classes = tuple(table.features[label].names) if label else ()
    selected = _selected_classes(source, classes)
    if len(selected) < len(classes):
        table = table.select(np.flatnonzero(np.isin(_labels(table[label]), selected)))
    if source.images is not None:
        table = table.select(range(min(source.images, len(table))))
    if len(table) == 0:
        raise RecipeError(f"{_location(source)}: found no images, expected at least 1")
    image = _column(table, datasets.Image)
    if image is None:
        raise RecipeError(
            f"{_location(source)}: found the columns {table.column_names}, expected one of images"
        )
    images = np.stack(list(_prepare(table.select_columns([image]), _location(source), spec)))
    labels = _labels(table[label]) if label else np.zeros(len(table), np.int64)
    renumbered = np.searchsorted(selected, labels) if len(selected) < len(classes) else labels
    return ImageSet(
        name=source.name,
        images=torch.from_numpy(images),
        labels=torch.from_numpy(renumbered.astype(np.int64)),
        classes=tuple(classes[index] for index in selected),
        groups=_groups(table, source, labels),
        split=source.split if len(table.info.splits or ()) > 1 else None,
    )


def split(inliers: ImageSet, held_out: Inliers, *, seed: int) -> Split:
    """Split the inliers at random; the seed determines the parts, in every command.

    Images of one group are assigned to the same part, which may then be larger than configured by
    less than one group.

    Raises:
        RecipeError: fewer than two classes, a label without a class, or too few images.
    """
    _check_labels(inliers)
    held_out_images = held_out.validation + held_out.calibration
    if len(inliers) < 2 * held_out_images:
        raise RecipeError(
            f"inliers: validation + calibration is {held_out_images}, expected at most half of the"
            f" {len(inliers)} images in {inliers.name}"
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
    return Split(
        validation=inliers.subset(order[:first]),
        calibration=inliers.subset(order[first:second]),
        training=inliers.subset(order[second:]),
    )


def _check_labels(inliers: ImageSet) -> None:
    """Check that there are two classes in use, and that every label is one of the classes."""
    name, classes, labels = inliers.name, inliers.classes, inliers.labels
    if len(classes) < 2:
        raise RecipeError(
            f"inliers: found {len(classes)} classes in {name}, expected at least 2. Put each class"
            " in its own sub-folder, or give a label column"
        )
    invalid = torch.nonzero((labels < 0) | (labels >= len(classes))).flatten()
    if len(invalid):
        first = int(invalid[0])
        label = "none" if labels[first] == NO_LABEL else str(int(labels[first]))
        raise RecipeError(
            f"{name}: {len(invalid):,} of {len(labels):,} labels are invalid, the first is image"
            f" number {first} with label {label}; expected 0 to {len(classes) - 1}. Remove these"
            " rows, or use them as outliers"
        )
    if (labels == labels[0]).all():
        raise RecipeError(
            f"inliers: all {len(inliers):,} images of {name} have the class"
            f" {classes[int(labels[0])]!r}, expected images of at least 2 classes"
        )


def _end_of_group(sorted_groups: Tensor, cut: int) -> int:
    """Return the first position at or after `cut` that does not divide a group."""
    return int(torch.searchsorted(sorted_groups, sorted_groups[cut - 1], right=True))


def _labels(column: Sequence[int | None]) -> NDArray[np.int64]:
    return np.array([NO_LABEL if label is None else label for label in column], np.int64)


def _selected_classes(source: Source, classes: Sequence[str]) -> list[int]:
    """Return the indices of the classes that the source selects, ascending."""
    option, keys = ("only", source.only) if source.only else ("leave_out", source.leave_out)
    by_key: dict[ClassKey, int] = {name: index for index, name in enumerate(classes)}
    by_key |= {index: index for index in range(len(classes))}
    unknown = [key for key in keys if key not in by_key]
    if unknown:
        raise RecipeError(
            f"{_location(source)}: {option} contains {unknown}, expected names or indices of the"
            f" classes {list(classes)}"
        )
    chosen = {by_key[key] for key in keys}
    return [index for index in range(len(classes)) if (index in chosen) == bool(source.only)]


def _groups(table: Any, source: Source, labels: NDArray[np.int64]) -> Tensor | None:  # noqa: ANN401
    if source.group is None:
        return None
    if source.group not in table.column_names:
        raise RecipeError(
            f"{_location(source)}: group is {source.group!r}, expected one of the columns"
            f" {table.column_names}"
        )
    pairs = [f"{label} {value}" for label, value in zip(labels, table[source.group], strict=True)]
    _, numbers = np.unique(pairs, return_inverse=True)
    return torch.from_numpy(numbers.astype(np.int64))


def _open(source: Source) -> Any:  # noqa: ANN401  (datasets has no types)
    try:
        if source.hub is not None:
            return datasets.load_dataset(source.hub, split=source.split).shuffle(seed=0)
        if source.folder is not None:
            folder = str(source.folder)
            table = datasets.load_dataset("imagefolder", data_dir=folder, split=source.split)
            return table.shuffle(seed=0)
        return datasets.load_dataset("parquet", data_files=str(source.parquet), split="train")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise RecipeError(f"{_location(source)}: cannot read the data: {error}") from error


def _location(source: Source) -> str:
    """Return the name on the hub or the path as it was given."""
    return source.hub or str(source.folder or source.parquet)


def _column(table: Any, kind: type) -> str | None:  # noqa: ANN401
    return next((key for key, value in table.features.items() if isinstance(value, kind)), None)


def _prepare(table: Any, location: str, spec: InputSpec) -> Iterator[NDArray[np.uint8]]:  # noqa: ANN401
    """Yield the prepared images of a table, which decodes them as they are read."""
    rows = iter(table)
    for number in range(len(table)):
        try:
            (image,) = next(rows).values()
            yield prepare(image, spec)
        except (OSError, ImageError) as error:
            raise RecipeError(f"{location}: cannot read image number {number}: {error}") from error
