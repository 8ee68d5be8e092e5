"""List the images of any source; all commands list sources by this module."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from oodguard.models.errors import GuardError, RecipeError, install_hint
from oodguard.sources.classes import select_classes
from oodguard.sources.endings import is_table
from oodguard.sources.folders import list_folder
from oodguard.sources.listing import (
    Listing,
    check_label_column,
    check_labels,
    describe_skipped,
)
from oodguard.sources.source import Source
from oodguard.sources.source_options import way_to_set


def source_at(  # noqa: PLR0913 - the options of commands
    path: Path,
    *,
    images: int | None = None,
    skip_broken: bool = False,
    image_column: str | None = None,
    label_column: str | None = None,
    group: str | None = None,
    group_across_classes: bool = False,
) -> Source:
    """Return the source at a path: a table, a folder of tables, or a folder of pictures.

    The columns are those of a table; a folder of pictures has none, and they are ignored.

    Raises:
        RecipeError: There is no group for `group_across_classes`.
    """
    if group_across_classes and group in {None, "folder"}:
        found, expected = (
            ("no groups to join", f"{way_to_set('group')} too, or neither")
            if group is None
            else (
                f"no effect with {way_to_set('group')} folder, because each class has a folder of"
                " its own",
                "'name:/(.+)/', which captures the folders within that of the class",
            )
        )
        raise RecipeError(f"{way_to_set('group_across_classes')} has {found}, expected {expected}")
    values = {
        "images": images,
        "skip_broken": skip_broken,
        "group": group,
        "group_across_classes": group_across_classes,
    }
    if path.exists() and is_table(path):
        columns = {"image_column": image_column, "label_column": label_column}
        return Source.model_validate({"table": path, **values, **columns})
    return Source.model_validate({"folder": path, **values})


def list_source(source: Source, *, labelled: bool) -> Listing:
    """List the images that a source selects.

    First the classes that the source leaves out are dropped, then the images beyond its limit. With
    `labelled`, pictures outside of the class folders are skipped.

    Raises:
        RecipeError: The source cannot be read, has no images, or has no such classes.
    """
    found = _list_all(source, labelled=labelled)
    if source.group_across_classes:
        found = replace(found, groups=found.group_values)
    if labelled:
        check_label_column(found)
    classes = found.classes
    selected = select_classes(
        classes, only=source.only, leave_out=source.leave_out, location=found.location
    )
    are_all = len(selected) == len(classes)
    rows = found.rows if are_all else np.flatnonzero(np.isin(found.labels, selected))
    rows = rows[: source.images]
    if len(rows) == 0:
        skipped = f"; {describe_skipped(found.skipped)}" if found.skipped else ""
        raise RecipeError(f"{found.location}: found no images, expected at least 1{skipped}")
    chosen = found.select(rows)
    labels = chosen.labels
    if labelled and classes:
        check_labels(found.location, classes, labels)
    groups = chosen.groups
    return replace(
        chosen,
        classes=tuple(classes[index] for index in selected),
        labels=labels if are_all else np.searchsorted(selected, labels).astype(np.int64),
        groups=None if groups is None else np.unique(groups, return_inverse=True)[1],
        skip_broken=source.skip_broken,
    )


def _list_all(source: Source, *, labelled: bool) -> Listing:
    if source.folder is not None:
        return list_folder(source.folder, split=source.split, labelled=labelled, group=source.group)
    # These packages are slow to import, and no part of the service.
    if source.hub is not None:
        with _extra("training"):
            from oodguard.sources.hub import list_hub  # noqa: PLC0415
        return list_hub(source, source.hub)
    with _extra("tables"):
        from oodguard.sources.tables import list_tables  # noqa: PLC0415
    return list_tables(source.tables, source)


@contextmanager
def _extra(name: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise RecipeError(f"{error.name} is not installed. {install_hint(name)}") from error


def list_sources(
    sources: Mapping[str, tuple[Source, bool]], log: Callable[[str], None]
) -> dict[str, Listing]:
    """List sources by their key, each labelled or not, and log a line for each of them.

    Raises:
        RecipeError: The error lists every source that cannot be read.
    """
    listings: dict[str, Listing] = {}
    faults: dict[str, str] = {}
    for key, (source, labelled) in sources.items():
        try:
            listings[key] = list_source(source, labelled=labelled)
        except GuardError as error:
            faults[key] = str(error)
        else:
            log(f"{key}: {listings[key]}")
    if faults:
        lines = "\n".join(f"  {key}: {reason}" for key, reason in faults.items())
        raise RecipeError(
            "Sources cannot be read (relative paths start from the current folder):\n" + lines
        )
    return listings
