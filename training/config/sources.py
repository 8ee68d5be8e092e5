"""The recipe tables that define where images are read from."""

from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from oodguard.models.manifest import FrozenModel
from oodguard.models.names import text_of

ClassKey = str | int
"""A class by its name, by its number, or by its index among the data's classes."""

LOCATIONS = ("hub", "folder", "table", "parquet")


class Source(FrozenModel):
    """A source of images: exactly one of `hub` (a data set's name), `folder` and `table`.

    `table` are Parquet, CSV or JSON Lines files; `parquet` is its older name. `images` limits how
    many images are read; `split` is the hub's split (by default "train") or a sub-folder. With
    `skip_broken` images that cannot be read are left out. `group` names a column, such as a film's
    number: images with the same group and label are near-duplicates. `leave_out` drops classes, by
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
            unused = ("image_column", "label_column", "group")
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


class Inliers(Source):
    """The in-distribution images; `validation` and `calibration` of them are held out.

    Validation images are measured after every epoch. Calibration images are used only by
    `evaluate` and `export`, to set the rejection threshold. `mirror` states that a mirrored image
    has the same class, which is false for signs and letters. `distort` is the strength of
    `training.data.augment.distort`, for few images or images of one camera. Images of one `group`
    are assigned to the same part. Classes that are left out are reported as unknown classes, see
    `training.config.evaluation_sources`.
    """

    validation: int = Field(ge=1)
    calibration: int = Field(ge=20)
    mirror: bool = True
    distort: float = Field(default=0.0, ge=0, le=1)

    def divide_classes(self, test: Source) -> tuple[Source, Source | None]:
        """Return the test images of the classes used here, and those of all others.

        None for the others if no class is left out.
        """
        if not (self.leave_out or self.only):
            return test, None
        known = {"leave_out": self.leave_out, "only": self.only}
        unknown = {"leave_out": self.only, "only": self.leave_out}
        return test.model_copy(update=known), test.model_copy(update=unknown)


class Outliers(Source):
    """The auxiliary out-of-distribution images, used in training only.

    `synthetic` is the share of every batch that is generated (`training.data.synthetic`); at 1 no
    source of images is given. `vary` is the share of the other images whose colours and frame are
    changed strongly. `blur` is the largest weight, drawn per image, with which an outlier is mixed
    with its blurred copy, so that sharpness alone does not separate outliers from inliers. The last
    `validation` real images are held out for validation; at 0 validation uses the first training
    outliers. `weight` is the weight of the outlier term in the loss, and a batch has `per_inlier`
    outliers for every inlier.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    synthetic: float = Field(default=0.0, ge=0, le=1)
    vary: float = Field(default=0.0, ge=0, le=1)
    blur: float = Field(default=0.0, ge=0, le=1)
    weight: float = Field(default=0.5, gt=0)
    per_inlier: float = Field(default=1.0, gt=0, le=4)
    validation: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _has_images_to_hold_out(self) -> Self:
        if self.validation and self.synthetic == 1:
            raise ValueError(
                f"validation is {self.validation}, expected 0 where synthetic = 1: there are no"
                " real outliers to hold out"
            )
        return self

    def _expected_locations(self) -> int:
        return 0 if self.synthetic == 1 else 1

    @property
    def name(self) -> str:
        """The data set's name for model cards and tables."""
        if self.synthetic == 1:
            return "synthetic"
        return super().name + (f" and {self.synthetic:.0%} synthetic" if self.synthetic else "")
