"""Where a recipe's images come from."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ClassKey = str | int
"""A class by its name, or by its index among the data's classes."""


class Source(BaseModel):
    """Where images come from: exactly one of a hub name, an image folder or a Parquet file.

    `images` caps how many are read; `split` is the hub's or folder's split name. `group` names a
    column, such as a film's number: images that share its value and their label are near-duplicates
    of one another. `leave_out` drops classes, by name or by index, and `only` drops all others; the
    labels that stay are counted from 0 again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hub: str | None = None
    folder: Path | None = None
    parquet: Path | None = None
    split: str = "train"
    images: int | None = Field(default=None, ge=1)
    group: str | None = None
    leave_out: tuple[ClassKey, ...] = ()
    only: tuple[ClassKey, ...] = ()

    @model_validator(mode="after")
    def _one_choice_of_classes(self) -> Self:
        if self.leave_out and self.only:
            raise ValueError("give leave_out or only, not both: each says which classes stay")
        return self

    @model_validator(mode="after")
    def _places_as_wanted(self) -> Self:
        given = self._places()
        if len(given) != self._wanted_places():
            raise ValueError(
                f"give exactly {self._wanted_places()} of hub, folder, parquet;"
                f" came: {given or 'none'}"
            )
        return self

    def _wanted_places(self) -> int:
        return 1

    def _places(self) -> list[str]:
        return [key for key in ("hub", "folder", "parquet") if getattr(self, key) is not None]

    @property
    def name(self) -> str:
        """The data set's name for cards and tables."""
        if self.hub is not None:
            return self.hub
        place = self.folder or self.parquet
        return place.stem if place else ""


class Inliers(Source):
    """The in-distribution images; the first two figures are held out of training.

    `validation` images are watched during training; `calibration` images are touched only by
    `evaluate` and `export`, which set the rejection threshold on them. `mirror` says whether a
    mirror image shows the same class, which it does not for signs and letters. `distort` is the
    strength of `training.distort`, for few images or images of one camera. Images of one
    `group` are kept in one part. Classes that are left out are reported as unknown ones, see
    `training.evaluation_sources`.
    """

    validation: int = Field(ge=1)
    calibration: int = Field(ge=20)
    mirror: bool = True
    distort: float = Field(default=0.0, ge=0, le=1)


class Outliers(Source):
    """The auxiliary out-of-distribution images, seen in training only.

    `synthetic` is the share of every batch that is made on the fly (`training.synthetic`); at 1 no
    place of images is wanted. `vary` is the share of the others whose colours and frame are changed
    strongly. `blur` is the largest weight, drawn per image, with which an outlier is mixed with its
    blurred self, so that sharpness alone does not tell outliers from inliers. The last `validation`
    real ones are held out and watched; at 0 the first are watched, which training sees too.
    """

    synthetic: float = Field(default=0.0, ge=0, le=1)
    vary: float = Field(default=0.0, ge=0, le=1)
    blur: float = Field(default=0.0, ge=0, le=1)
    weight: float = Field(default=0.5, gt=0)
    per_inlier: float = Field(default=1.0, gt=0, le=4)
    validation: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _some_to_hold_out(self) -> Self:
        if self.validation and self.synthetic == 1:
            raise ValueError("validation: none can be held out where all are synthetic; wanted 0")
        return self

    def _wanted_places(self) -> int:
        return 0 if self.synthetic == 1 else 1

    @property
    def name(self) -> str:
        """The data set's name for cards and tables."""
        if self.synthetic == 1:
            return "synthetic"
        return super().name + (f" and {self.synthetic:.0%} synthetic" if self.synthetic else "")
