"""The wire shapes, for the API's description and for tests; answers are not built from them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from oodguard.models.manifest import InputSpec, TrainingRecord


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelIdentity(_Shape):
    """Which model answered; the sha256 is that of its manifest, which pins every other file."""

    name: str
    version: str
    sha256: str


class BarePolicy(_Shape):
    """An image is rejected by its `score`."""

    score: str
    alpha: float
    delta: float | None


class PolicyShape(BarePolicy):
    """An image is rejected when its `score` is above `threshold`."""

    threshold: float


class BarePrediction(_Shape):
    """The verdict on one image without its scores; the p-value is rounded up to a coarse level."""

    label: str
    class_id: Annotated[int, Field(ge=0)]
    p_value: Annotated[float, Field(gt=0, le=1)]
    decision: Literal["accept", "reject"]


class Prediction(BarePrediction):
    """The verdict on one image. A higher score is more out-of-distribution.

    A number is null where the model gave NaN or infinity; such an image is rejected.
    """

    confidence: Annotated[float, Field(ge=0, le=1)] | None
    scores: dict[str, float | None]


class BareAnswer(_Shape):
    """One prediction for each image, in the order in which they were sent."""

    request_id: str
    model: ModelIdentity
    policy: BarePolicy
    predictions: list[BarePrediction]


class PredictAnswer(_Shape):
    """One prediction for each image, in the order in which they were sent."""

    request_id: str
    model: ModelIdentity
    policy: PolicyShape
    predictions: list[Prediction]


class JsonImages(_Shape):
    """The JSON body of POST /predict: encoded images as base64, standard alphabet."""

    images: Annotated[list[str], Field(min_length=1)]


class ImagePlace(_Shape):
    """Which image of the request a problem is about."""

    index: Annotated[int, Field(ge=0)]
    name: str | None


class Problem(_Shape):
    """What went wrong: RFC 9457. `detail` says what came and what was wanted."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    image: ImagePlace | None = None


class ModelFacts(ModelIdentity):
    """All that a model says of itself, and how it is served."""

    created: AwareDatetime
    classes: list[str]
    input: InputSpec
    scores: list[str]
    policy: PolicyShape | BarePolicy
    calibration_images: int
    providers: list[str]
    threads: int
    training: TrainingRecord


class ModelsAnswer(_Shape):
    """The models that are served; the default one answers POST /predict."""

    default: str
    default_version: str
    models: list[ModelFacts]


class BundleChange(_Shape):
    """What a reload made of one bundle."""

    model: str
    version: str
    outcome: Literal["loaded", "unchanged", "removed", "refused"]


class ReloadAnswer(_Shape):
    """What a reload made of every bundle that was meant."""

    changes: list[BundleChange]


class Health(_Shape):
    """A state in one word."""

    status: str


_IMAGE = {"schema": {"type": "string", "format": "binary"}}

_FILES = {"type": "array", "minItems": 1, "items": _IMAGE["schema"]}

REQUEST_BODY: Mapping[str, Any] = {
    "required": True,
    "description": "One image or many, in one of four ways.",
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
        "description": "n,H,W,3 of raw RGB pixels; wanted with application/octet-stream.",
        "schema": {"type": "string", "examples": ["1,32,32,3"]},
    },
    {
        "name": "X-Timeout-Ms",
        "in": "header",
        "required": False,
        "description": "Milliseconds until the request is given up, if less than the service's.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    },
)

PATH_PARAMETERS: Sequence[Mapping[str, Any]] = tuple(
    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for name in ("name", "version")
)
