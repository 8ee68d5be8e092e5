"""Request and response schemas, for the OpenAPI schema and for tests.

Responses are not built from these models: `service.responses` builds them as dictionaries.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from oodguard.models.manifest import InputSpec
from oodguard.models.reasons import ReasonCode
from oodguard.models.records import AttackRecord, CalibrationRecord, TrainingRecord


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelIdentity(_Schema):
    """The model that answered; the sha256 of its manifest pins every file of the bundle."""

    name: str
    version: str
    sha256: str


class BarePolicy(_Schema):
    """The decision policy without its threshold. Promises that are not in use have no key.

    `attack` is the attack that `under_attack`, its budget in 255ths, refers to; it is no
    certificate. `reachable_beta` holds in place of `beta` if both bounds cannot hold. With `fdr`,
    the images of the request were decided together at this false-discovery rate.
    """

    score: str
    alpha: float | None
    delta: float | None
    fdr: Annotated[float, Field(gt=0, lt=1)] | None = None
    by_class: bool = False
    under_attack: int | None = None
    attack: str | None = None
    beta: float | None = None
    reachable_beta: float | None = None


class PolicyShape(BarePolicy):
    """The decision policy: an image is rejected if its `score` is above `threshold`.

    The threshold is null if it depends on the predicted class.
    """

    threshold: float | None


class BarePrediction(_Schema):
    """The verdict on an image, without scores; the p-value is rounded up to a coarse level."""

    label: str
    class_id: Annotated[int, Field(ge=0)]
    p_value: Annotated[float, Field(gt=0, le=1)]
    decision: Literal["accept", "reject"]


class ReasonShape(_Schema):
    """A reason for a rejection: the measured value, and the range of the calibration images.

    A bound that is null does not exist. A number is null if the model returned NaN.
    """

    code: ReasonCode
    detail: str
    value: float | None
    range: tuple[float | None, float | None] | None


class Prediction(BarePrediction):
    """The verdict on an image. A higher score is more out-of-distribution.

    A number is null if the model returned NaN or infinity; the image is then rejected.
    """

    confidence: Annotated[float, Field(ge=0, le=1)] | None
    scores: dict[str, float | None]
    reasons: list[ReasonShape]


class BareResponse(_Schema):
    """One prediction for each image, in the order of the request."""

    request_id: str
    model: ModelIdentity
    policy: BarePolicy
    predictions: list[BarePrediction]


class PredictResponse(_Schema):
    """One prediction for each image, in the order of the request."""

    request_id: str
    model: ModelIdentity
    policy: PolicyShape
    predictions: list[Prediction]


class JsonImages(_Schema):
    """The JSON body of POST /predict: encoded images, as standard base64 or data: URLs."""

    images: Annotated[list[str], Field(min_length=1)]


class ImagePlace(_Schema):
    """The image of the request that is invalid."""

    index: Annotated[int, Field(ge=0)]
    name: str | None


class Problem(_Schema):
    """A problem (RFC 9457). `detail` gives the received and the expected value."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    image: ImagePlace | None = None


class ClassFacts(_Schema):
    """The calibration images of one predicted class, and how many of them the policy rejects.

    `common` states that the threshold is that of all classes together.
    """

    label: str
    images: int
    rejected: int
    threshold: float
    common: bool


class ModelFacts(ModelIdentity):
    """The public fields of a model's manifest, its policy, and its runtime settings.

    `calibration` is the record of `oodguard calibrate`, null for the calibration of the export.
    """

    created: AwareDatetime
    classes: list[str]
    input: InputSpec
    scores: list[str]
    precision: Literal["float32", "int8"]
    policy: PolicyShape | BarePolicy
    calibration_images: int
    by_class: list[ClassFacts]
    limitations: list[str]
    calibration: CalibrationRecord | None
    calibration_attack: AttackRecord | None
    providers: list[str]
    threads: int
    training: TrainingRecord


class ShadowFacts(_Schema):
    """The shadow model, and its share of the default model's requests."""

    name: str
    version: str
    share: Annotated[float, Field(ge=0, le=1)]


class ModelsResponse(_Schema):
    """The loaded models; the default model answers POST /predict."""

    default: str
    default_version: str
    shadow: ShadowFacts | None
    models: list[ModelFacts]


class BundleChange(_Schema):
    """The outcome of a reload for one bundle, or for the policy file (`policy.toml`).

    `detail` has the previous and the new values of a changed policy, and where it does not hold in
    full.
    """

    model: str
    version: str
    outcome: Literal["loaded", "policy-changed", "unchanged", "removed", "refused"]
    detail: str


class ReloadResponse(_Schema):
    """The outcome of a reload for every bundle concerned."""

    changes: list[BundleChange]


class DriftBefore(_Schema):
    """The evidence of a drift test before a reset.

    `images` is the number of scores it is about, `alarms` how often the test had restarted.
    """

    log_martingale: float
    alarms: int
    images: int


class DriftReset(_Schema):
    """The evidence of both drift tests of one model before a reset."""

    model: str
    version: str
    scores: DriftBefore
    rejections: DriftBefore


class DriftResetResponse(_Schema):
    """The reset models."""

    resets: list[DriftReset]


class Health(_Schema):
    """The state of the process."""

    status: str


_IMAGE = {"schema": {"type": "string", "format": "binary"}}

_FILES = {"type": "array", "minItems": 1, "items": _IMAGE["schema"]}

REQUEST_BODY: Mapping[str, Any] = {
    "required": True,
    "description": "One or many images, in one of four formats.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {"files": _FILES},
                "additionalProperties": False,
            },
            "encoding": {"files": {"contentType": "image/jpeg, image/png, image/webp"}},
        },
        "application/json": {"schema": JsonImages.model_json_schema()},
        "image/jpeg": _IMAGE,
        "image/png": _IMAGE,
        "image/webp": _IMAGE,
        "application/octet-stream": _IMAGE,
    },
}

REQUEST_HEADERS: Sequence[Mapping[str, Any]] = (
    {
        "name": "X-Shape",
        "in": "header",
        "required": False,
        "description": "n,H,W,3 of raw RGB pixels; required with application/octet-stream.",
        "schema": {"type": "string", "examples": ["1,32,32,3"]},
    },
    {
        "name": "X-Timeout-Ms",
        "in": "header",
        "required": False,
        "description": "Timeout in milliseconds, if less than the service's timeout.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    },
    {
        "name": "X-FDR",
        "in": "header",
        "required": False,
        "description": "False-discovery rate: the images are decided together, by the procedure of"
        " Benjamini and Hochberg, instead of each by the policy. At least 1 / (n + 1) for n"
        " calibration images, without an exponent. Not with OODGUARD_DETAIL=verdict.",
        "schema": {"type": "number", "minimum": 0.0001, "exclusiveMaximum": 1},
    },
)

_PATH_PARAMETERS: Sequence[Mapping[str, Any]] = tuple(
    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for name in ("name", "version")
)


def path_parameters(path: str) -> list[Mapping[str, Any]]:
    """Return the descriptions of the parameters in a route's path."""
    return [each for each in _PATH_PARAMETERS if f"{{{each['name']}}}" in path]


def operation_id(path: str) -> str:
    """Return the id of a route's operation."""
    return path.strip("/").translate(str.maketrans("/", "_", "{}"))
