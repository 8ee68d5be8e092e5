"""The recipe tables that define which images a run trains on."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from oodguard.sources.source import Source


class Inliers(Source):
    """The in-distribution images: a source, and the numbers of images that are held out.

    Validation images are measured after every epoch. Calibration images are used only by
    `evaluate` and `export`, to set the rejection threshold. Images of one `group` are assigned to
    the same part. Classes that are left out are reported as unknown classes, see
    `training.config.evaluation_sources`.
    """

    validation: int = Field(ge=1)
    """Number of images for robust validation during training,
    docs/training.md#robust-validation."""

    calibration: int = Field(ge=20)
    """Number of images that only the threshold uses."""

    mirror: bool = True
    """Half of the training images are mirrored; false if left and right distinguish classes, as on
    signs and letters."""

    distort: float = Field(default=0.0, ge=0, le=1)
    """Strength with which every second training image is rotated, zoomed, sheared and changed in
    brightness: useful if images are few or from one camera."""

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
    """The auxiliary out-of-distribution images, used in training only: a source, and these keys."""

    model_config = ConfigDict(allow_inf_nan=False)

    synthetic: float = Field(default=0.0, ge=0, le=1)
    """Share of every batch that is generated: noise, fractals, dead leaves, distorted inliers.
    `outliers = "synthetic"` is short for a table with 1, which needs no source of images."""

    vary: float = Field(default=0.0, ge=0, le=1)
    """Share of the real outliers whose colours and frame are changed strongly."""

    blur: float = Field(default=0.0, ge=0, le=1)
    """Largest weight of an outlier's blurred copy, drawn for each, so that sharpness alone does not
    distinguish outliers, docs/training.md#sharpness."""

    weight: float = Field(default=0.5, gt=0)
    """Weight of the outlier term in the loss."""

    per_inlier: float = Field(default=1.0, gt=0, le=4)
    """Outliers in a batch for every inlier."""

    validation: int = Field(default=0, ge=0)
    """Number of real outliers that are held out of training for robust validation,
    docs/training.md#robust-validation: the last ones. With 0, validation uses the first training
    outliers."""

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
