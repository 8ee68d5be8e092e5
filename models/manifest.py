"""What a bundle says of itself, as validated, frozen data."""

import json
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from oodguard.models.errors import BundleError

SCHEMA_VERSION: Final = 1

Side = Annotated[int, Field(ge=1, le=4096)]

Count = Annotated[int, Field(ge=0)]

BundleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]

BundleVersion = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]

WRAPPED: Final = "wrapped"
"""The method of a bundle whose network came from elsewhere as it is."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSpec(_Frozen):
    """The pixels that the graph takes and the rule that brings any image to them.

    `crop` scales the shorter side to size and crops the centre; `stretch` ignores the aspect.
    Both filters are Pillow's, which antialias when they shrink.
    """

    height: Side
    width: Side
    fit: Literal["crop", "stretch"] = "crop"
    resample: Literal["bicubic", "bilinear"] = "bicubic"


class DataRecord(_Frozen):
    """A data set's name and how many of its images were used."""

    name: str
    images: Count


class FileRecord(_Frozen):
    """The size in bytes and the sha256 (hexadecimal) that a file must have."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: Count


class TrainingRecord(_Frozen):
    """How the network was made, so that a reader can make it again.

    `epsilon` is the L-infinity radius in [0, 1] pixel space that it was hardened at; 0: not at all.
    A network that was wrapped as it came has an `origin`: the files it came in. Nothing is known
    here of its training then: `inliers` is unknown with 0 images, `epochs` and `duration_s` are 0,
    and `hardware`, `command` and `libraries` are those of the wrapping.
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
    def _only_what_was_wrapped_came_from_elsewhere(self) -> Self:
        if (self.method == WRAPPED) != bool(self.origin):
            raise ValueError(
                f"method {self.method!r} came with origin {self.origin};"
                f" {WRAPPED!r} wants the files it came in, any other method none"
            )
        return self


class Description(_Frozen):
    """The manifest without its file hashes: what a writer knows before the files exist.

    `scores` is the column order of the graph output `scores`; higher always means more OOD.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: BundleName
    version: BundleVersion
    created: AwareDatetime
    classes: tuple[str, ...] = Field(min_length=2)
    input: InputSpec
    scores: tuple[str, ...] = Field(min_length=1)
    default_score: str
    training: TrainingRecord

    @model_validator(mode="after")
    def _names_are_unambiguous(self) -> Self:
        for key, names in (("classes", self.classes), ("scores", self.scores)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{key} must be unique; twice or more: {', '.join(twice)}")
        if self.default_score not in self.scores:
            raise ValueError(
                f"default_score is {self.default_score!r}; wanted one of {', '.join(self.scores)}"
            )
        return self


class Manifest(Description):
    """A description and a record of every other file in the bundle."""

    files: dict[str, FileRecord]


def parse_manifest(text: bytes) -> Manifest:
    """Read the bytes of a manifest.json.

    Raises:
        BundleError: not JSON, written under another schema version, or against the schema.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"manifest.json is not JSON ({error}); fetch the bundle again or export it anew"
        ) from error
    # Before anything else: under another version every other complaint would mislead.
    found = document.get("schema_version") if isinstance(document, dict) else None
    if found != SCHEMA_VERSION:
        raise BundleError(
            f"manifest.json: schema_version is {found!r}; this release reads {SCHEMA_VERSION}."
            " Use the release of OOD Guard that wrote the bundle, or export it anew with this one"
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"manifest.json is invalid: {_complaints(error)}") from error


def _complaints(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in each['loc']) or 'manifest'}: {each['msg']}"
        for each in error.errors(include_url=False)
    )
