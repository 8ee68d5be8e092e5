"""The columns of a table: which one holds the images and which one the labels, and its classes."""

import json
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.classes import in_order
from oodguard.sources.listing import NO_LABEL, check_names, name_all
from oodguard.sources.source import Source
from oodguard.sources.source_options import way_to_set

IMAGE_NAMES = (
    *("image", "img", "picture", "photo", "file", "filename", "file_name"),
    *("path", "filepath", "file_path", "image_path", "image_file"),
)
LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target", "label_name", "y")

REMEDY = "Write the table again, without this metadata"

NEGATIVE = re.compile(r"-0*[1-9][0-9]*(\.0*)?")
LARGEST = int(np.iinfo(np.int64).max)
"""The largest label; larger ones are invalid too."""

WHOLE = re.compile(r"-?[0-9]+(\.0*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """The columns that are read; `names` are the classes if the table declares them."""

    image: str
    label: str | None
    names: tuple[str, ...] | None


def choose_columns(schema: pa.Schema, source: Source, *, location: str) -> Columns:
    """Choose the columns of images and labels by the keys of the source, else by type and name.

    The types that `datasets` writes into the schema decide first, then the type of the column,
    then its name.

    Raises:
        RecipeError: There is no such column, or the choice is not unique.
    """
    check_names(schema.names, location=location)
    kinds = _declared_features(schema, location)
    for key in ("image_column", "label_column", "group"):
        name = getattr(source, key)
        if name is not None and name not in schema.names:
            raise RecipeError(
                f"{location}: {key} is {name!r}, expected one of the columns {schema.names}"
            )
    for key, chosen in (("image_column", IMAGE_NAMES), ("label_column", LABEL_NAMES)):
        if getattr(source, key) is None:
            _check_case(schema.names, chosen, key=key, location=location)
    image = source.image_column or _image_column(schema, kinds, location)
    label = source.label_column or _label_column(schema, kinds)
    names = kinds.get(label or "", {}).get("names")
    if names is not None and not (
        isinstance(names, list)
        and all(isinstance(name, str) and name for name in names)
        and len(set(names)) == len(names)
    ):
        raise RecipeError(
            f"{location}: the names of the classes of {label!r} in the metadata are not a list of"
            f" different texts. {REMEDY}"
        )
    return Columns(
        image=image,
        label=label,
        names=None if names is None else tuple(map(str, names)),
    )


def choose_image_column(schema: pa.Schema, image_column: str | None, *, location: str) -> str:
    """Choose the column of images, where labels are not read; see `choose_columns`.

    Raises:
        RecipeError: There is no such column, or the choice is not unique.
    """
    source = Source(table=Path(location), image_column=image_column)
    fields = [field for field in schema if field.name.lower() not in LABEL_NAMES]
    return choose_columns(
        pa.schema(fields, schema.metadata),
        source,
        location=location,
    ).image


def _check_case(names: Sequence[str], known: Sequence[str], *, key: str, location: str) -> None:
    """Check that no known name of a column occurs in two spellings, such as `Label` and `label`."""
    for name in known:
        same = [each for each in names if each.lower() == name]
        if len(same) > 1:
            raise RecipeError(
                f"{location}: found the columns {same}, expected one of them: name it with"
                f" {way_to_set(key)}"
            )


def _declared_features(schema: pa.Schema, location: str) -> dict[str, dict[str, Any]]:
    """Return the features by column that `datasets` has written into the schema."""
    text = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(text).get("info", {}).get("features", {}) if text else {}
        return {key: value for key, value in features.items() if isinstance(value, dict)}
    except (ValueError, AttributeError, RecursionError) as error:
        raise RecipeError(
            f"{location}: the metadata 'huggingface' is not what `datasets` writes. {REMEDY}"
        ) from error


def _image_column(schema: pa.Schema, kinds: dict[str, dict[str, Any]], location: str) -> str:
    names: list[str] = schema.names
    declared = [name for name in names if kinds.get(name, {}).get("_type") == "Image"]
    encoded = [name for name in names if _is_encoded(schema.field(name).type)]
    by_name = [each for name in IMAGE_NAMES for each in names if each.lower() == name]
    if declared:
        return declared[0]
    if len(encoded) == 1:
        return encoded[0]
    candidates = [name for name in by_name if name in encoded or not encoded]
    usable = [name for name in candidates if encoded or is_text(schema.field(name).type)]
    if not names:  # as of a CSV file with a header alone
        raise RecipeError(f"{location}: found no images, expected at least 1")
    if not usable:
        raise RecipeError(
            f"{location}: found the columns {names}, expected one of images: encoded bytes,"
            " or paths in a column such as 'image'. Name it with"
            f" {way_to_set('image_column')}"
        )
    return usable[0]


def _label_column(schema: pa.Schema, kinds: dict[str, dict[str, Any]]) -> str | None:
    declared = [name for name in schema.names if kinds.get(name, {}).get("_type") == "ClassLabel"]
    by_name = [each for name in LABEL_NAMES for each in schema.names if each.lower() == name]
    return next(iter((*declared, *by_name)), None)


def _is_encoded(kind: pa.DataType) -> bool:
    kind = _decoded(kind)
    if pa.types.is_struct(kind):
        return {kind.field(index).name for index in range(kind.num_fields)} >= {"bytes"}
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Return whether the values of a column are text."""
    kind = _decoded(kind)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _decoded(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a column, which categories of pandas refer to by number."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def encode_labels(
    values: Sequence[object] | None, names: tuple[str, ...] | None, *, rows: int, location: str
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the classes, and the label `(rows,)` of each row as an index of them.

    Values are indices of `names`, the classes that the table declares; without them each different
    text or whole number is a class. Null, empty text, NaN and negative numbers are no label.

    Raises:
        RecipeError: Values are neither text nor whole numbers, or of both kinds; the error names
            the rows.
    """
    if values is None:
        return (), np.zeros(rows, np.int64)
    if names is not None and all(value is None or type(value) is int for value in values):
        integers = cast("Sequence[int | None]", values)
        indices = [NO_LABEL if value is None else min(value, LARGEST) for value in integers]
        return names, np.array(indices, np.int64)
    faults: dict[str, str] = {}
    texts: list[str | None] = []
    known: dict[str | None, str | None] = {}
    for row, value in enumerate(values):
        try:
            text = _class_name(value)
            texts.append(known.setdefault(text, text))  # one object for all rows of a class
        except (ValueError, OverflowError):
            faults[f"row {row}"] = f"the label is {shortened(value)}"
    if faults:
        raise RecipeError(
            f"{location}: invalid labels: {len(faults):,} of {len(values):,}, expected text or"
            f" whole numbers (rows are counted from 0):\n{name_all(faults)}"
        )
    kinds: dict[str, int] = {}
    for row, value in enumerate(values):
        if texts[row] is not None:
            kinds.setdefault(_kind(value), row)
    if len(kinds) > 1:
        rows_of = ", ".join(f"{kind} (row {row})" for kind, row in sorted(kinds.items()))
        raise RecipeError(
            f"{location}: the labels are {rows_of}, expected one kind of labels in all rows (rows"
            " are counted from 0)"
        )
    found = {text for text in texts if text is not None}
    if names is None or not found <= set(names):
        short = _without_fractions(found)
        texts = [text and short[text] for text in texts]
        found = {text for text in texts if text is not None}
    classes = names if names is not None and found <= set(names) else in_order(found)
    number = {name: index for index, name in enumerate(classes)}
    return classes, np.array(
        [NO_LABEL if text is None else number[text] for text in texts], np.int64
    )


def _kind(value: object) -> str:
    if isinstance(value, str | bytes):
        return "text"
    return "booleans" if isinstance(value, bool) else "numbers"


def _without_fractions(found: Set[str]) -> dict[str, str | None]:
    """Return each text as a class, without spaces; None: no label.

    Texts that are all whole numbers, such as `11.0` and `-1`, are those that a table of numbers
    has: CSV files contain text only, and pandas writes numbers with a missing one as fractions.
    """
    stripped = {text: text.strip() for text in found}
    whole = all(WHOLE.fullmatch(text) for text in stripped.values() if text)
    return {
        text: None
        if not short or NEGATIVE.fullmatch(short)
        else short.partition(".")[0]
        if whole
        else short
        for text, short in stripped.items()
    }


def _class_name(value: object) -> str | None:
    """Return the name of a class; None for no label."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return text_of(value) or None
    if isinstance(value, bool):
        return str(value)
    if value is None or value != value:  # noqa: PLR0124  (NaN, as pandas writes a missing number)
        return None
    if isinstance(value, int | float) and value == int(value):
        return str(int(value)) if value >= 0 else None
    raise ValueError(value)
