"""List a data set of the Hugging Face hub."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.sources.columns import choose_columns, encode_labels
from oodguard.sources.groups import check_groups_given, number_groups
from oodguard.sources.listing import Encoded, Listing, check_row_count
from oodguard.sources.source import Source


def list_hub(source: Source, name: str) -> Listing:
    """List the split of a data set, shuffled in one fixed order.

    Raises:
        RecipeError: The data set cannot be read, or has no column of images.
    """
    datasets.disable_progress_bars()  # otherwise there is one for every file
    try:
        table = datasets.load_dataset(name, split=source.split or "train").shuffle(seed=0)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise RecipeError(f"{name}: cannot read the data: {error}") from error
    check_row_count(len(table), location=name)
    columns = choose_columns(table.features.arrow_schema, source, location=name)
    values = table[columns.label][:] if columns.label else None
    classes, labels = encode_labels(values, columns.names, rows=len(table), location=name)
    grouped = None if source.group is None else table[source.group][:]
    if grouped is not None:
        check_groups_given(name, grouped, [f"row {row}" for row in range(len(table))])
    images = table.select_columns([columns.image])
    if isinstance(images.features[columns.image], datasets.Image):
        images = images.cast_column(columns.image, datasets.Image(decode=False))
    # There are none if the data set is in memory.
    files = [Path(each["filename"]) for each in table.cache_files]
    return Listing(
        location=name,
        classes=classes,
        labels=labels,
        groups=None if grouped is None else number_groups(grouped, labels),
        group_values=None if grouped is None else number_groups(grouped, 0 * labels),
        rows=np.arange(len(table)),
        image_column=columns.image,
        columns=tuple(table.column_names),
        files=(lambda: files) if files else None,
        read=lambda rows: _read(images, columns.image, rows),
    )


def _read(
    images: Any,  # noqa: ANN401  (datasets has no types)
    column: str,
    rows: NDArray[np.int64],
) -> Iterator[tuple[str, Encoded]]:
    for row in rows:
        value = images[int(row)][column]
        path = value["path"]
        data = value["bytes"]
        yield f"row {row}", data if data is not None else Path(path) if path else None
