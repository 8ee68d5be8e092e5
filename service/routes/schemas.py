"""The wire shapes, for the API's description and for tests; answers are not built from them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.manifest import InputSpec, TrainingRecord


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
