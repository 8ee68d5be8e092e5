"""The review list: a CSV file of samples in which a person decides what calibrates.

The images lie next to it in a folder of its name, because retention removes samples of the store.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.service.regular_file import PRIVATE_FILE, write_new_file
from oodguard.service.sampling.stored import Record
from oodguard.sources.classes import in_order
from oodguard.sources.groups import check_groups_given, number_groups
from oodguard.sources.listing import NO_LABEL, Encoded, Listing, name_all
from oodguard.sources.text_tables import Row, read_rows

COLUMNS = (
    *("image", "keep", "label"),
    *("predicted", "decision", "p_value", "model", "time", "request"),
)
"""A person edits the first three at most; the others are the service's."""

NAMED_ROWS = 5
"""The number of rows without a decision that an error names."""

KEEP_COLUMN = "keep"

KEEP: Mapping[str, bool] = {"yes": True, "keep": True, "y": True, "no": False, "drop": False}
ACCEPT = "accept"

_FORMULA = re.compile(r"((?:^|[;\t\r\n])\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""The place before a sign that starts a formula, also a full-width one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewList:
    """The images that a person kept, and the number that they dropped.

    `unlabelled` is the number of kept images without a label: labels count only if it is 0.
    """

    listing: Listing
    dropped: int
    unlabelled: int


def images_folder(path: Path) -> Path:
    """Return the folder of the images of a review list."""
    return path.with_name(f"{path.stem}-images")


def review_row(image: Path, record: Record) -> dict[str, object]:
    """Return the row of a sample: an accepted image is kept, a rejected one is to be decided.

    So is an image that was accepted at the false-discovery rate of the client's choice.
    """
    verdict = record.verdict
    return {
        "image": image.as_posix(),
        "keep": "yes" if verdict.decision == ACCEPT and record.policy.fdr is None else "",
        "label": "",
        "predicted": _cell(verdict.label),
        "decision": verdict.decision,
        "p_value": f"{verdict.p_value:.6g}",
        "model": _cell(f"{record.model.name}@{record.model.version}"),
        "time": record.time.isoformat(),
        "request": _cell(record.request_id),
    }


def _cell(text: str) -> str:
    """Return a text that no spreadsheet reads as a formula; records are not trusted.

    Where the settings of a computer separate cells by semicolons, each of them starts a cell.
    """
    return _FORMULA.sub(r"\1'", text)


def write_review(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write a new review list.

    Raises:
        OSError: The file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_new_file(path, text.getvalue().encode(), mode=PRIVATE_FILE)


def is_review(path: Path) -> bool:
    """Return whether a path is a review list, by the names of its columns."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            head = file.readline(4096)
    except OSError:  # reading the source states the reason
        return False
    return {"image", KEEP_COLUMN} <= {_column(name) for name in re.split("[,;\t]", head)}


def check_no_decisions(listing: Listing) -> None:
    """Check that a table which is no review list has no column of decisions.

    Otherwise the images that a person dropped would calibrate.

    Raises:
        RecipeError: It has one: it was a review list before it was converted.
    """
    found = [name for name in listing.columns if _column(name) == KEEP_COLUMN]
    if found:
        raise RecipeError(
            f"{listing.location}: a table with the column {found[0]!r}, expected a review list as a"
            f" CSV file with the columns image and {KEEP_COLUMN}. Save it as CSV, or rename the"
            " column if it is no decision"
        )


def _column(name: str) -> str:
    return name.strip().strip('"').strip().lower()


def read_review(path: Path, *, group: str | None, skip_broken: bool) -> ReviewList:
    """Read a review list.

    Args:
        path: The file.
        group: The column whose value is the group of an image, such as `request`.
        skip_broken: Leave out images that cannot be read.

    Raises:
        RecipeError: The list is invalid, or a row is not decided.
    """
    try:
        rows = [_named(row, path) for row in read_rows(path)]
    except (OSError, csv.Error) as error:
        raise RecipeError(f"{text_of(path)}: cannot read the review list: {error}") from error
    answers = [str(row.get(KEEP_COLUMN) or "").strip().lower() for row in rows]
    faults = {
        f"row {number} ({row.get('image')})": f"keep is {answer!r}"
        for number, (row, answer) in enumerate(zip(rows, answers, strict=True))
        if answer not in KEEP
    }
    if faults:
        named = name_all(faults, at_most=NAMED_ROWS)
        raise RecipeError(
            f"{text_of(path)}: {len(faults):,} of {len(rows):,} rows are not decided, expected keep"
            f" 'yes' or 'no' in each (rows are counted from 0):\n{named}\n"
            "Write yes for an image of the classes that the model should accept, no for any other"
        )
    decided = [(row, KEEP[answer]) for row, answer in zip(rows, answers, strict=True)]
    kept = [row for row, is_kept in decided if is_kept]
    dropped = {row.get("image") for row, is_kept in decided if not is_kept}
    if both := sorted({str(row.get("image")) for row in kept if row.get("image") in dropped}):
        raise RecipeError(
            f"{text_of(path)}: {len(both):,} images have rows with keep 'yes' and with 'no', such"
            f" as {both[0]}, expected one decision for each image"
        )
    if not kept:
        raise RecipeError(f"{text_of(path)}: no image is kept, expected at least 1")
    if group is not None and group not in kept[0]:
        raise RecipeError(
            f"{text_of(path)}: --group is {group!r}, expected one of the columns {list(kept[0])}"
        )
    if group is not None:
        check_groups_given(
            text_of(path), [row[group] for row in kept], [str(row.get("image")) for row in kept]
        )
    labels = [str(row.get("label") or "").strip() for row in kept]
    return ReviewList(
        listing=_listing(path, kept, labels, group=group, skip_broken=skip_broken),
        dropped=len(rows) - len(kept),
        unlabelled=Counter(labels)[""],
    )


def _named(row: Row, path: Path) -> Row:
    """Return a row by the names of its columns as `oodguard samples review` writes them."""
    named = {_column(name): value for name, value in row.items()}
    if len(named) < len(row):
        raise RecipeError(
            f"{text_of(path)}: found the columns {list(row)}, expected different names"
        )
    return named


def _listing(
    path: Path, kept: list[Row], labels: list[str], *, group: str | None, skip_broken: bool
) -> Listing:
    classes = in_order({label for label in labels if label})
    number = {name: index for index, name in enumerate(classes)}
    numbers = np.array([number.get(label, NO_LABEL) for label in labels], np.int64)

    def read(selected: NDArray[np.int64]) -> Iterator[tuple[str, Encoded]]:
        for row in selected:
            name = str(kept[row].get("image") or "")
            yield name or f"row {row}", path.parent / name if name else None

    same = np.zeros(len(kept), np.int64)
    return Listing(
        location=text_of(path),
        classes=classes,
        labels=numbers,
        rows=np.arange(len(kept)),
        read=read,
        groups=number_groups([row.get(group) for row in kept], same) if group else None,
        skip_broken=skip_broken,
    )
