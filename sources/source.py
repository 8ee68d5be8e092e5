"""The description of a source of images, as recipes, options and calibration give it."""

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from oodguard.models.frozen_model import FrozenModel
from oodguard.models.names import text_of

ClassKey = str | int
"""A class by its name, by its number, or by its index among the data's classes."""

LOCATIONS = ("hub", "folder", "table", "parquet")


class Source(FrozenModel):
    """A source of images: exactly one of `hub`, `folder` and `table`, and these keys.

    The labels of the classes that remain are renumbered from 0.
    """

    hub: str | None = None
    """A data set of the Hugging Face hub by its name."""

    folder: Path | None = None
    """An image folder, one sub-folder for each class, docs/training.md#folders."""

    table: Path | tuple[Path, ...] | None = None
    """Parquet, CSV, JSON Lines or a JSON array of objects: a file, a list of files or a folder of
    files, docs/training.md#tables."""

    parquet: Path | None = None
    """Older name of `table`."""

    split: str | None = None
    """The sub-folder of a `folder`, or the part of a hub data set, there `"train"` by default."""

    images: int | None = Field(default=None, ge=1)
    """Maximum number of images that are read; none: all."""

    skip_broken: bool = False
    """Leave out images that cannot be read, with a warning; otherwise they are an error that names
    all of them."""

    image_column: str | None = None
    """The column of the images in a table; none: by type and name."""

    label_column: str | None = None
    """The column of the labels in a table; none: by type and name."""

    group: str | None = None
    """A column of a table, such as the number of a film, or a rule for a folder: images of one
    class with the same value are near-duplicates, docs/training.md#the-data."""

    group_across_classes: bool = False
    """Images of all classes with the same value are one group, such as those of a film that shows
    several classes."""

    leave_out: tuple[ClassKey, ...] = ()
    """Classes whose images are dropped, by name, by number or by index; for outliers: images that
    show one of your classes."""

    only: tuple[ClassKey, ...] = ()
    """The classes that are used, instead of `leave_out`."""

    @field_validator("leave_out", "only", mode="before")
    @classmethod
    def _has_no_booleans(cls, value: object) -> object:
        for each in value if isinstance(value, list | tuple) else ():
            if isinstance(each, bool):
                raise ValueError(
                    f"received {str(each).lower()}, expected names or numbers of classes; a class"
                    f' of this name is "{each}"'
                )
        return value

    @model_validator(mode="after")
    def _has_one_class_selection(self) -> Self:
        if self.leave_out and self.only:
            raise ValueError("received both leave_out and only, expected at most one of them")
        return self

    @model_validator(mode="after")
    def _has_values_of_groups(self) -> Self:
        if self.group_across_classes and self.group is None:
            raise ValueError("group_across_classes is true, expected group too, or neither")
        if self.group_across_classes and self.folder is not None and self.group == "folder":
            raise ValueError(
                "group is 'folder' and group_across_classes is true, expected a rule that leaves"
                " out the folder of the class: 'name:/(.+)/' captures the folders within it"
            )
        return self

    @model_validator(mode="after")
    def _has_expected_locations(self) -> Self:
        keys = [key for key in LOCATIONS if getattr(self, key) not in {None, ()}]
        if len(keys) != self._expected_locations():
            raise ValueError(
                f"received {', '.join(keys) or 'none'} of hub, folder, table and parquet, expected"
                f" exactly {self._expected_locations()} of them"
            )
        return self

    @model_validator(mode="after")
    def _keys_suit_the_location(self) -> Self:
        unused: tuple[str, ...] = ("split",) if self.tables else ()
        if self.folder is not None:
            unused = ("image_column", "label_column")
        for key in unused:
            if getattr(self, key) is not None:
                kind = "folder" if self.folder else "table"
                raise ValueError(
                    f"{key} is {getattr(self, key)!r}, expected none for a {kind}: remove the key"
                )
        return self

    def _expected_locations(self) -> int:
        return 1

    @property
    def name(self) -> str:
        """The data set's name for model cards and tables."""
        if self.hub is not None:
            return self.hub
        path = self.folder or next(iter(self.tables), None)
        return text_of(path.stem) if path else ""

    @property
    def tables(self) -> tuple[Path, ...]:
        """The files or folders of a table; empty for another source."""
        given = self.table or self.parquet or ()
        return given if isinstance(given, tuple) else (given,)
