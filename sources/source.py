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
    """A source of images: exactly one of `hub` (a data set's name), `folder` and `table`.

    `table` are Parquet, CSV or JSON Lines files; `parquet` is its older name. `images` limits how
    many images are read; `split` is the hub's split (by default "train") or a sub-folder. With
    `skip_broken` images that cannot be read are left out. `group` names a column, such as a film's
    number, or a rule of `sources.groups` for a folder: images with the same group and label are
    near-duplicates. `leave_out` drops classes, by
    name, by number or by index; `only` drops all other classes. The remaining labels are renumbered
    from 0.
    """

    hub: str | None = None
    folder: Path | None = None
    table: Path | tuple[Path, ...] | None = None
    parquet: Path | None = None
    split: str | None = None
    images: int | None = Field(default=None, ge=1)
    skip_broken: bool = False
    image_column: str | None = None
    label_column: str | None = None
    group: str | None = None
    leave_out: tuple[ClassKey, ...] = ()
    only: tuple[ClassKey, ...] = ()

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
