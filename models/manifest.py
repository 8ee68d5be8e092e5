"""The manifest of a bundle as validated, immutable data."""

import json
from collections import Counter
from collections.abc import Sequence
from reprlib import repr as short
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from oodguard.models.errors import BundleError
from oodguard.models.frozen_model import FiniteModel
from oodguard.models.records import (
    AttackRecord,
    BundleVersion,
    CalibrationRecord,
    FileRecord,
    QuantizationRecord,
    TrainingRecord,
)
from oodguard.models.validation_errors import describe_errors, describe_json_error

SCHEMA_VERSIONS: Final = (1, 2, 3)
"""The manifest versions that are read; a bundle is written with the lowest that describes it."""

ROWS_VERSION: Final = 3
"""The first version whose calibration file may hold more than scores."""

_SHOWN, _SHOWN_CHARACTERS = 20, 100

SideLength = Annotated[int, Field(ge=1, le=4096)]
BundleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class InputSpec(FiniteModel):
    """The input size of the graph in pixels, and the rule for images of another size.

    The resampling filters are Pillow's, which antialias on reduction.

    A manifest has the keys `resize` and `fill` only if they are set: earlier releases read every
    bundle that does not use them.
    """

    height: SideLength
    """Height of the network's images, in pixels."""

    width: SideLength
    """Width of the network's images, in pixels."""

    fit: Literal["crop", "stretch", "letterbox"] = "crop"
    """`crop`: shorter side to size, centre kept; `stretch`: aspect ratio ignored; `letterbox`:
    longer side to size, the rest filled with the grey value `fill`."""

    resample: Literal["bicubic", "bilinear"] = "bicubic"
    """Filter of the scaling."""

    resize: SideLength | None = Field(default=None, exclude_if=lambda value: value is None)
    """With `crop`: the shorter side is scaled to this number before the centre is cropped, such as
    256 for 224; none: to the size."""

    fill: int = Field(default=0, ge=0, le=255, exclude_if=lambda value: value == 0)
    """Grey value of `letterbox`."""

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


class Description(FiniteModel):
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
