"""Images and labels in memory as uint8, read through Hugging Face `datasets`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import ImageError, RecipeError
from models.manifest import InputSpec
from models.preprocessing import prepare
from training.recipe import Inliers, Source


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSet:
    """Images `(n, H, W, 3)` uint8 RGB; labels `(n,)` int64, all zero where the data has none."""

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return self.images.shape[0]

    def subset(self, index: Tensor | slice) -> "ImageSet":
        """Return the images at `index`, in that order."""
        return ImageSet(
            name=self.name,
            images=self.images[index],
            labels=self.labels[index],
            classes=self.classes,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """The inliers in three disjoint parts; `calibration` is never trained, tuned or stopped on."""

    training: ImageSet
    validation: ImageSet
    calibration: ImageSet


def load(source: Source, spec: InputSpec) -> ImageSet:
    """Read a source, every image brought to `spec` by the rule that serving uses.

    A Parquet file keeps its order. Folders and hub data sets, which as a rule are sorted by class,
    come in one fixed random order, so that the first images of any source are a fair sample.

    Raises:
        RecipeError: the source or one of its images cannot be read, it is empty, or it has no
            image column.
    """
    table = _open(source)
    if source.images is not None:
        table = table.select(range(min(source.images, len(table))))
    if len(table) == 0:
        raise RecipeError(f"{source.name}: no images in it; at least one was wanted")
    image = _column(table, datasets.Image)
    if image is None:
        raise RecipeError(f"{source.name}: wanted an image column; came {table.column_names}")
    label = _column(table, datasets.ClassLabel)
    images = np.stack(list(_prepared(table.select_columns([image]), source.name, spec)))
    labels = np.asarray(table[label]) if label else np.zeros(len(table), np.int64)
    classes = tuple(table.features[label].names) if label else ()
    return ImageSet(
        name=source.name,
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels.astype(np.int64)),
        classes=classes,
    )


def split(inliers: ImageSet, held_out: Inliers, *, seed: int) -> Split:
    """Divide the inliers at random; the same seed gives the same parts in fit, evaluate, export.

    Raises:
        RecipeError: fewer than two classes, or too few images for the held-out parts.
    """
    if len(inliers.classes) < 2:
        raise RecipeError(
            f"inliers: wanted at least 2 classes, as a label column or one sub-folder each;"
            f" came {list(inliers.classes)} from {inliers.name}"
        )
    first, second = held_out.validation, held_out.validation + held_out.calibration
    if len(inliers) < 2 * second:
        raise RecipeError(
            f"inliers: validation + calibration hold out {second} images, at most half of the"
            f" {len(inliers)} in {inliers.name} were wanted"
        )
    order = torch.randperm(len(inliers), generator=torch.Generator().manual_seed(seed))
    return Split(
        validation=inliers.subset(order[:first]),
        calibration=inliers.subset(order[first:second]),
        training=inliers.subset(order[second:]),
    )


def to_pixels(images: Tensor) -> Tensor:
    """Bring uint8 `(n, H, W, 3)` to float32 `(n, 3, H, W)` in [0, 1], as the graph does."""
    return images.permute(0, 3, 1, 2).float() / 255


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
