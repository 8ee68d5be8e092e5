"""The results: frozen records of what the service answers.

Fields that a newer service adds are ignored, so that a client need not be updated with it. The
fields of `policy` are described in docs/policy.md, those of a prediction in docs/http-api.md.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AnsweringModel(_Result):
    """The model that predicted; the sha256 of its manifest pins every file of the bundle."""

    name: str
    version: str
    sha256: str


class ServedPolicy(_Result):
    """The policy that decided. A promise that is not in use is absent: None, or False.

    `threshold` is None if it depends on the predicted class, or if the service omits it. With
    `fdr`, the images of the request were decided together at this false-discovery rate.
    """

    score: str
    alpha: float | None
    delta: float | None
    by_class: bool = False
    under_attack: int | None = None
    attack: str | None = None
    beta: float | None = None
    reachable_beta: float | None = None
    fdr: float | None = None
    threshold: float | None = None


class RejectionReason(_Result):
    """A reason for a rejection: the measured value, and the range of the calibration images."""

    code: str
    detail: str
    value: float | None
    range: tuple[float | None, float | None] | None


class ImageResult(_Result):
    """The verdict on one image, and where it is from.

    Attributes:
        index: The image's index in the input, from 0.
        name: Its path, or `images[INDEX]`.
        label: The predicted class.
        class_id: Its number.
        decision: `accept` or `reject`.
        p_value: The conformal p-value; small means out-of-distribution.
        confidence: The softmax probability of the class; None if the service omits it.
        scores: All scores by name; higher means more out-of-distribution. Empty if the service
            omits them.
        reasons: Why the image is rejected; empty for an accepted one.
        request_id: The request, in the log of the service.
        model: The model that predicted.
        policy: The policy that decided.
        detail: `verdict` if the service runs with OODGUARD_DETAIL=verdict and omits scores,
            confidence, reasons, threshold and the exact p-value.
    """

    index: int
    name: str
    label: str
    class_id: int
    decision: Literal["accept", "reject"]
    p_value: float
    confidence: float | None = None
    scores: Mapping[str, float | None] = {}
    reasons: tuple[RejectionReason, ...] = ()
    request_id: str
    model: AnsweringModel
    policy: ServedPolicy
    detail: Literal["full", "verdict"]

    @property
    def accepted(self) -> bool:
        """Whether the image is accepted."""
        return self.decision == "accept"


class ModelInput(_Result):
    """The size of the input in pixels, and the rule for images of another size."""

    height: int
    width: int
    fit: str
    resample: str
    resize: int | None = None
    fill: int = 0


class ServedClass(_Result):
    """The calibration images of one predicted class, and the number that the policy rejects."""

    label: str
    images: int
    rejected: int
    threshold: float
    common: bool


class ServedModel(AnsweringModel):
    """A loaded model, as in `GET /models`.

    `training`, `calibration` and `calibration_attack` are records of its manifest; the last two are
    None without a recalibration or a calibration under attack.
    """

    created: datetime
    classes: tuple[str, ...]
    input: ModelInput
    scores: tuple[str, ...]
    precision: str
    policy: ServedPolicy
    calibration_images: int
    by_class: tuple[ServedClass, ...]
    limitations: tuple[str, ...]
    calibration: Mapping[str, Any] | None = None
    calibration_attack: Mapping[str, Any] | None = None
    providers: tuple[str, ...]
    threads: int
    training: Mapping[str, Any]


class ShadowModel(_Result):
    """The shadow model, and the share of requests that it also predicts."""

    name: str
    version: str
    share: float


class ServedModels(_Result):
    """The loaded models; the default model answers if a request names none."""

    default: str
    default_version: str
    shadow: ShadowModel | None
    models: tuple[ServedModel, ...]
