"""The records of a manifest: what was done, on which data, by which command."""

from typing import Annotated, Final, Self

from pydantic import AwareDatetime, Field, model_validator

from oodguard.models.frozen_model import FiniteModel

Count = Annotated[int, Field(ge=0)]
VERSION_PATTERN: Final = r"^[A-Za-z0-9._-]{1,32}$"
BundleVersion = Annotated[str, Field(pattern=VERSION_PATTERN)]

WRAPPED: Final = "wrapped"
"""The method of a bundle whose network was trained elsewhere."""


class DataRecord(FiniteModel):
    """The name of a data set and the number of its images that were used."""

    name: str
    images: Count


class FileRecord(FiniteModel):
    """The expected size in bytes and the expected sha256 (hexadecimal) of a file."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: Count


class TrainingRecord(FiniteModel):
    """The training of the network, in enough detail to repeat it.

    `epsilon` is the L-infinity radius of the training attack in [0, 1] pixel space, 0 without one.
    A wrapped network has an `origin`, its source files. Its training is unknown: `inliers` is
    "unknown" with 0 images, `epochs` and `duration_s` are 0, and `hardware`, `command` and
    `libraries` describe the wrapping.
    """

    method: str
    network: str
    parameters: Count
    epsilon: float = Field(ge=0, le=1)
    attack_steps: Count
    inliers: DataRecord
    outliers: DataRecord | None
    seed: int
    epochs: Count
    duration_s: float = Field(ge=0)
    hardware: str
    command: str
    libraries: dict[str, str]
    origin: dict[str, FileRecord] | None = None

    @model_validator(mode="after")
    def _origin_belongs_to_wrapped(self) -> Self:
        if (self.method == WRAPPED) != bool(self.origin):
            raise ValueError(
                f"method is {self.method!r} and origin is {self.origin}, expected an origin for the"
                f" method {WRAPPED!r} and for no other method"
            )
        return self


class QuantizationRecord(FiniteModel):
    """Differences of an INT8 graph from the float32 graph of the bundle that it was made from.

    `source` is the sha256 of that bundle's manifest. `range_images` set the ranges of the
    activations, and the graph was fine-tuned on `tuning_images` (0: not fine-tuned). The shares of
    `class_flips` and `decision_flips`, each graph at its own threshold, and the
    `largest_difference` of the deciding score were measured on `compared_images` others.
    `speed` is the run time of the float32 graph over that of the INT8 graph in one thread, by batch
    size, on the recorded `hardware`.
    """

    source: str = Field(pattern=r"^[0-9a-f]{64}$")
    range_images: Count
    tuning_images: Count = 0
    compared_images: Count
    class_flips: float = Field(ge=0, le=1)
    decision_flips: float = Field(ge=0, le=1)
    largest_difference: float = Field(ge=0)
    speed: dict[str, Annotated[float, Field(strict=True)]]
    hardware: str
    command: str | None = None


class CalibrationRecord(FiniteModel):
    """A calibration that replaced an earlier one of the same graph, by `oodguard calibrate`.

    `replaced` is the sha256 of the manifest of the bundle with the earlier calibration, and
    `replaced_version` its version. `evaluated_version` is the version that evaluation.json and the
    figures of the card were measured with: the one that was exported. Of `source`, `images` were
    used, of `groups` groups if near-duplicates were named. `skipped` are files that are not read by
    their ending, `broken` images that cannot be read by the reason, `copies` images with the pixels
    of another, `dropped` samples that the person who reviewed them left out.
    """

    source: str
    images: Count
    groups: Count | None = None
    labels: bool = False
    skipped: dict[str, Count] = Field(default_factory=dict)
    broken: dict[str, Count] = Field(default_factory=dict)
    copies: Count = 0
    dropped: Count = 0
    created: AwareDatetime
    by: str
    command: str
    replaced: str = Field(pattern=r"^[0-9a-f]{64}$")
    replaced_version: BundleVersion
    evaluated_version: BundleVersion


class AttackRecord(FiniteModel):
    """The attack on the calibration images that raised their scores.

    `method` is its name and its effort, such as "APGD, 20 steps", and `images` is the number of
    images that were attacked. It is no certificate: another attack may raise a score further.
    """

    method: str = Field(min_length=1)
    images: int = Field(ge=1)
    duration_s: float = Field(ge=0)
