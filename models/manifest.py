"""The manifest of a bundle as validated, immutable data."""

import json
from collections import Counter
from collections.abc import Sequence
from reprlib import repr as short
from typing import Annotated, Any, Final, Literal, Self, get_args, get_origin

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from oodguard.models.errors import BundleError
from oodguard.models.validation_errors import describe_errors, describe_json_error

SCHEMA_VERSIONS: Final = (1, 2, 3)
"""The manifest versions that are read; a bundle is written with the lowest that describes it."""

_SHOWN, _SHOWN_CHARACTERS = 20, 100

ROWS_VERSION: Final = 3
"""The first version whose calibration file may hold more than scores."""


SideLength = Annotated[int, Field(ge=1, le=4096)]
Count = Annotated[int, Field(ge=0)]
BundleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
VERSION_PATTERN: Final = r"^[A-Za-z0-9._-]{1,32}$"
BundleVersion = Annotated[str, Field(pattern=VERSION_PATTERN)]

WRAPPED: Final = "wrapped"
"""The method of a bundle whose network was trained elsewhere."""


class FrozenModel(BaseModel):
    """Immutable data; unknown keys are errors, and so are booleans in place of numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_boolean_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401
        """Reject true and false where pydantic would accept them as 1 and 0."""
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            parts = {annotation, *get_args(annotation)}
            kinds = parts | {part.__origin__ for part in parts if get_origin(part) is Annotated}
            if bool not in kinds and kinds & {int, float}:
                raise PydanticKnownError("int_type" if int in kinds else "float_type")
        return value


class _Record(FrozenModel):
    model_config = ConfigDict(allow_inf_nan=False)


class InputSpec(_Record):
    """The input size of the graph in pixels, and the rule for images of another size.

    `crop` scales the shorter side to `resize`, by default to the size itself, and crops the centre;
    `stretch` ignores the aspect ratio; `letterbox` scales the longer side to the size and fills
    both ends of the shorter one with the grey value `fill`. The resampling filters are Pillow's,
    which antialias on reduction.

    A manifest has the keys `resize` and `fill` only if they are set: earlier releases read every
    bundle that does not use them.
    """

    height: SideLength
    width: SideLength
    fit: Literal["crop", "stretch", "letterbox"] = "crop"
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    resize: SideLength | None = Field(default=None, exclude_if=lambda value: value is None)
    fill: int = Field(default=0, ge=0, le=255, exclude_if=lambda value: value == 0)

    @property
    def schema_version(self) -> Literal[1, 2]:
        """The first manifest version that has this rule."""
        is_new = self.fit == "letterbox" or self.resize is not None or self.fill != 0
        return 2 if is_new else 1

    def __str__(self) -> str:
        """Describe the rule for images of another size in a few words, for a model card."""
        details = f" from {self.resize}" if self.resize else ""
        details += f" on grey {self.fill}" if self.fit == "letterbox" else ""
        return f"{self.fit}{details}, {self.resample}"

    @model_validator(mode="after")
    def _details_belong_to_fit(self) -> Self:
        if self.fill and self.fit != "letterbox":
            raise ValueError(
                f"fill is {self.fill} and fit is {self.fit!r}, expected fit 'letterbox' with a fill"
            )
        if self.resize is None:
            return self
        if self.fit != "crop":
            raise ValueError(
                f"resize is {self.resize} and fit is {self.fit!r}, expected fit 'crop' with a"
                " resize"
            )
        if self.resize < max(self.height, self.width):
            raise ValueError(
                f"resize is {self.resize}, expected at least {max(self.height, self.width)}, the"
                " longer side of the crop"
            )
        return self


class DataRecord(_Record):
    """The name of a data set and the number of its images that were used."""

    name: str
    images: Count


class FileRecord(_Record):
    """The expected size in bytes and the expected sha256 (hexadecimal) of a file."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: Count


class TrainingRecord(_Record):
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


class QuantizationRecord(_Record):
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


class CalibrationRecord(_Record):
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
    skipped: dict[str, Count] = {}
    broken: dict[str, Count] = {}
    copies: Count = 0
    dropped: Count = 0
    created: AwareDatetime
    by: str
    command: str
    replaced: str = Field(pattern=r"^[0-9a-f]{64}$")
    replaced_version: BundleVersion
    evaluated_version: BundleVersion


class AttackRecord(_Record):
    """The attack on the calibration images that raised their scores.

    `method` is its name and its effort, such as "APGD, 20 steps", and `images` is the number of
    images that were attacked. It is no certificate: another attack may raise a score further.
    """

    method: str = Field(min_length=1)
    images: int = Field(ge=1)
    duration_s: float = Field(ge=0)


def lowest_schema_version(
    spec: InputSpec,
    *,
    stamp: Literal["quick"] | None = None,
    quantization: QuantizationRecord | None = None,
    calibration: CalibrationRecord | None = None,
) -> Literal[1, 2, 3]:
    """Return the first manifest version that has all of these keys."""
    if calibration is not None:
        return 3
    return 2 if stamp is not None or quantization is not None else spec.schema_version


class Description(_Record):
    """The manifest without its file records, which a writer knows before the files exist.

    `scores` is the column order of the graph output `scores`; higher means more OOD. The stamp
    `quick` states that the bundle was evaluated with the suite of this name only.
    """

    schema_version: Literal[1, 2, 3] = 1
    name: BundleName
    version: BundleVersion
    created: AwareDatetime
    classes: tuple[str, ...] = Field(min_length=2)
    input: InputSpec
    scores: tuple[str, ...] = Field(min_length=1)
    default_score: str
    training: TrainingRecord
    stamp: Literal["quick"] | None = Field(default=None, exclude_if=lambda stamp: stamp is None)
    quantization: QuantizationRecord | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    calibration: CalibrationRecord | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    calibration_attack: AttackRecord | None = Field(
        default=None, exclude_if=lambda value: value is None
    )

    @property
    def attack_text(self) -> str:
        """The attack on the calibration images in words, or an empty text."""
        return self.calibration_attack.method if self.calibration_attack else ""

    @property
    def precision(self) -> Literal["float32", "int8"]:
        """The number format of the graph's weights and activations."""
        return "int8" if self.quantization else "float32"

    @model_validator(mode="after")
    def _version_has_all_keys(self) -> Self:
        expected = lowest_schema_version(
            self.input,
            stamp=self.stamp,
            quantization=self.quantization,
            calibration=self.calibration,
        )
        if self.schema_version < expected:
            raise ValueError(
                f"schema_version is {self.schema_version}, expected {expected} for the input rule"
                f" {str(self.input)!r}, the stamp {self.stamp!r} and the precision"
                f" {self.precision}"
            )
        return self

    @model_validator(mode="after")
    def _names_are_unambiguous(self) -> Self:
        for key, names in (("classes", self.classes), ("scores", self.scores)):
            twice = sorted(name for name, times in Counter(names).items() if times > 1)
            if twice:
                raise ValueError(f"{key} must be unique, received more than once: {_listed(twice)}")
        if self.default_score not in self.scores:
            raise ValueError(
                f"default_score is {short(self.default_score)}, expected one of"
                f" {_listed(self.scores)}"
            )
        return self


class Manifest(Description):
    """A description and the records of all other files of the bundle."""

    files: dict[str, FileRecord]


def _listed(names: Sequence[str]) -> str:
    """Return names for a message, which a manifest of another program must not make long."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:_SHOWN_CHARACTERS] for name in names[:_SHOWN]) + more


def parse_manifest(text: bytes) -> Manifest:
    """Parse the bytes of manifest.json.

    Raises:
        BundleError: The content is not JSON, has another schema version, or violates the schema.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"manifest.json is not JSON: {describe_json_error(text, error)}; download or export the"
            " bundle again"
        ) from error
    # First, because the other checks are meaningless for another version.
    found = document.get("schema_version") if isinstance(document, dict) else None
    if found not in SCHEMA_VERSIONS:
        raise BundleError(
            f"manifest.json: schema_version is {short(found)}, expected"
            f" one of {', '.join(map(str, SCHEMA_VERSIONS))}. Use the"
            " release of OOD Guard that wrote the bundle, or export the bundle again"
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"manifest.json is invalid: {describe_errors(error)}") from error
