"""Images and labels in memory as uint8, read through Hugging Face `datasets`."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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


def label_numbers(column: Sequence[int | None]) -> NDArray[np.int64]:
    """Return the labels `(n,)`, `NO_LABEL` where a row has none."""
    return np.array([NO_LABEL if label is None else label for label in column], np.int64)


def check_labels(labels: NDArray[np.int64], classes: Sequence[str], *, name: str) -> None:
    """See that every label `(n,)` is that of a class.

    Raises:
        RecipeError: one is not.
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        first = int(wrong[0])
        came = "none" if labels[first] == NO_LABEL else str(labels[first])
        raise RecipeError(
            f"{name}: wanted a label from 0 to {len(classes) - 1} for every image; {len(wrong):,}"
            f" of {len(labels):,} have another or none. The first is image number {first}, label"
            f" {came}. Drop these rows, or put them in a set of outliers"
        )


def kept_classes(source: Source, classes: Sequence[str]) -> list[int]:
    """Return the indices of the classes that stay, ascending.

    Raises:
        RecipeError: a class that the data do not have.
    """
    every = range(len(classes))
    if source.only:
        chosen = _indices(source, "only", source.only, classes)
        return [index for index in every if index in chosen]
    dropped = _indices(source, "leave_out", source.leave_out, classes)
    return [index for index in every if index not in dropped]


def _indices(
    source: Source, option: str, keys: Iterable[ClassKey], classes: Sequence[str]
) -> set[int]:
    by_key: dict[ClassKey, int] = {name: index for index, name in enumerate(classes)}
    by_key |= {index: index for index in range(len(classes))}
    strange = [key for key in keys if key not in by_key]
    if strange:
        raise RecipeError(
            f"{source.name}: {option}: came {strange}, wanted names or indices of its classes,"
            f" {list(classes)}"
        )
    return {by_key[key] for key in keys}


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSet:
    """Images `(n, H, W, 3)` uint8 RGB; labels `(n,)` int64, all zero where the data has no column.

    A label is -1 where the row has none: `check_labels` where labels are used.

    `groups` `(n,)` int64, where the source has them: images of one number are near-duplicates.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    groups: Tensor | None = None

    def __len__(self) -> int:
        return self.images.shape[0]

    def subset(self, index: Tensor | slice) -> "ImageSet":
        """Return the images at `index`, in that order."""
        return ImageSet(
            name=self.name,
            images=self.images[index],
            labels=self.labels[index],
            classes=self.classes,
            groups=None if self.groups is None else self.groups[index],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """The inliers in three disjoint parts; `calibration` is never trained, tuned or stopped on."""

    training: ImageSet
    validation: ImageSet
    calibration: ImageSet


def load(source: Source, spec: InputSpec) -> ImageSet:
    """Read a source, every image brought to `spec` by the rule that serving uses.

    Classes that the source leaves out are dropped first, then what exceeds its `images`. A Parquet
    file keeps its order. Folders and hub data sets, which as a rule are sorted by class,
    come in one fixed random order, so that the first images of any source are a fair sample.

    Raises:
        RecipeError: the source or one of its images cannot be read, it is empty, or it has no
            image column.
    """
    table = _open(source)
    label = _column(table, datasets.ClassLabel)
    classes = tuple(table.features[label].names) if label else ()
    kept = kept_classes(source, classes)
    if len(kept) < len(classes):
        table = table.select(np.flatnonzero(np.isin(label_numbers(table[label]), kept)))
    if source.images is not None:
        table = table.select(range(min(source.images, len(table))))
    if len(table) == 0:
        raise RecipeError(f"{source.name}: no images in it; at least one was wanted")
    image = _column(table, datasets.Image)
    if image is None:
        raise RecipeError(f"{source.name}: wanted an image column; came {table.column_names}")
    images = np.stack(list(_prepared(table.select_columns([image]), source.name, spec)))
    labels = label_numbers(table[label]) if label else np.zeros(len(table), np.int64)
    places = np.searchsorted(kept, labels) if len(kept) < len(classes) else labels
    return ImageSet(
        name=source.name,
        images=torch.from_numpy(images),
        labels=torch.from_numpy(places.astype(np.int64)),
        classes=tuple(classes[index] for index in kept),
        groups=_groups(table, source, labels),
    )


def split(inliers: ImageSet, held_out: Inliers, *, seed: int) -> Split:
    """Divide the inliers at random; the same seed gives the same parts in fit, evaluate, export.

    Near-duplicates, where the set tells them, are kept together: a part may then be larger than
    asked for, by less than one group.

    Raises:
        RecipeError: fewer than two classes, a label of none of them, or too few images for the
            held-out parts.
    """
    if len(inliers.classes) < 2:
        raise RecipeError(
            f"inliers: wanted at least 2 classes, as a label column or one sub-folder each;"
            f" came {list(inliers.classes)} from {inliers.name}"
        )
    check_labels(inliers.labels.numpy(), inliers.classes, name=inliers.name)
    if len(inliers.labels.unique()) < 2:
        raise RecipeError(
            f"inliers: all {len(inliers):,} images of {inliers.name} are of the class"
            f" {inliers.classes[int(inliers.labels[0])]!r}; wanted images of at least 2 classes"
        )
    first, second = held_out.validation, held_out.validation + held_out.calibration
    if len(inliers) < 2 * second:
        raise RecipeError(
            f"inliers: validation + calibration hold out {second} images, at most half of the"
            f" {len(inliers)} in {inliers.name} were wanted"
        )
    generator = torch.Generator().manual_seed(seed)
    if inliers.groups is None:
        order = torch.randperm(len(inliers), generator=generator)
    else:
        turn = torch.randperm(int(inliers.groups.max()) + 1, generator=generator)
        rank = turn[inliers.groups]
        order = rank.argsort(stable=True)
        first, second = (_end_of_group(rank[order], cut) for cut in (first, second))
    return Split(
        validation=inliers.subset(order[:first]),
        calibration=inliers.subset(order[first:second]),
        training=inliers.subset(order[second:]),
    )


def to_pixels(images: Tensor) -> Tensor:
    """Bring uint8 `(n, H, W, 3)` to float32 `(n, 3, H, W)` in [0, 1], as the graph does."""
    return images.permute(0, 3, 1, 2).float() / 255


def _end_of_group(sorted_groups: Tensor, cut: int) -> int:
    """Return the first place at or after `cut` that does not divide a group."""
    return int(torch.searchsorted(sorted_groups, sorted_groups[cut - 1], right=True))


def _groups(table: Any, source: Source, labels: NDArray[np.int64]) -> Tensor | None:  # noqa: ANN401
    if source.group is None:
        return None
    if source.group not in table.column_names:
        raise RecipeError(
            f"{source.name}: group: came {source.group!r}, wanted one of {table.column_names}"
        )
    pairs = [f"{label} {value}" for label, value in zip(labels, table[source.group], strict=True)]
    _, numbers = np.unique(pairs, return_inverse=True)
    return torch.from_numpy(numbers.astype(np.int64))


def _open(source: Source) -> Any:  # noqa: ANN401  (datasets ships no types)
    try:
        if source.hub is not None:
            return datasets.load_dataset(source.hub, split=source.split).shuffle(seed=0)
        if source.folder is not None:
            folder = str(source.folder)
            table = datasets.load_dataset("imagefolder", data_dir=folder, split=source.split)
            return table.shuffle(seed=0)
        return datasets.load_dataset("parquet", data_files=str(source.parquet), split="train")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise RecipeError(f"{source.name}: cannot be read: {error}") from error


def _column(table: Any, kind: type) -> str | None:  # noqa: ANN401
    return next((key for key, value in table.features.items() if isinstance(value, kind)), None)


def _prepared(table: Any, name: str, spec: InputSpec) -> Iterator[NDArray[np.uint8]]:  # noqa: ANN401
    """Yield the pictures of a table of one column, prepared; they are decoded as they are read."""
    rows = iter(table)
    for number in range(len(table)):
        try:
            (picture,) = next(rows).values()
            yield prepare(picture, spec)
        except (OSError, ImageError) as error:
            raise RecipeError(f"{name}: image number {number} cannot be read: {error}") from error


Fingerprints = NDArray[np.uint64]


def fingerprints(images: Tensor) -> Fingerprints:
    """Return a number `(n,)` for the pixels of each image `(n, H, W, 3)` uint8.

    Equal images have equal ones; different images differ but for one chance in 2^64 a pair.
    """
    digests = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images.numpy())
    return np.frombuffer(b"".join(digests), np.uint64)


def without_inliers(outliers: ImageSet, inliers: ImageSet, warn: Callable[[str], None]) -> ImageSet:
    """Return the outliers that are no exact copy of an inlier; `warn` hears how many were.

    A network cannot learn to know and not to know the same picture.

    Raises:
        RecipeError: none is left.
    """
    same = np.isin(fingerprints(outliers.images), fingerprints(inliers.images))
    if not same.any():
        return outliers
    if same.all():
        raise RecipeError(
            f"outliers: every image of {outliers.name} is one of {inliers.name} as well; wanted"
            " images of other things"
        )
    warn(
        f"outliers: {same.sum():,} of the {len(outliers):,} images of {outliers.name} are inliers"
        f" as well ({inliers.name}, the same pixels) and are left out"
    )
    return outliers.subset(torch.from_numpy(np.flatnonzero(~same)))
