"""The recipe tables that define which images a run trains on."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from oodguard.sources.source import Source


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
