"""The schemas of the playground's routes, for the OpenAPI schema and for tests."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from oodguard.models.verdicts import Decision
from oodguard.service.api.schemas import BareResponse, PredictResponse

Share = Annotated[float, Field(ge=0, le=1)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageTimes(_Schema):
    """The times of a request's stages in milliseconds; 0: the stage was not needed."""

    decode: float
    queue: float
    run: float


class ClassConfidence(_Schema):
    """A class, and its softmax probability; null if the model returned NaN or infinity."""

    label: str
    confidence: Share | None


class _OfFirstImage(_Schema):
    """The view of the model: `input` is the first image at the model's size, as a base64 PNG."""

    input: str
    timings_ms: StageTimes


class BareInspection(_OfFirstImage, BareResponse):
    """A response without scores, and the model's input."""


class Inspection(_OfFirstImage, PredictResponse):
    """A response, the model's input, and the most probable classes of the first image."""

    classes: list[ClassConfidence]


class ScoreHistogram(_Schema):
    """The calibration scores: `counts` between `edges`; the outer bins contain the tails."""

    edges: Sequence[float]
    counts: Sequence[int]
    images: int


class AlphaOutcome(_Schema):
    """The outcome of the policy at one alpha.

    `rejected` is the share of the calibration images, `missed` the share of each set of outliers
    that the evaluation, or `wrap`, accepted, empty where it is unknown. `class_thresholds` are in
    the order of the classes, if the threshold depends on them.
    """

    alpha: float
    threshold: float | None
    class_thresholds: Sequence[float] | None
    rejected: Share
    missed: Mapping[str, Share]


class MeasuredAuroc(_Schema):
    """The mean AUROC over the sets of outliers; both sides are attacked within `epsilon_255`."""

    epsilon_255: float
    auroc: Share


class ThresholdGrid(_Schema):
    """The calibration histogram of the deciding score, and the outcomes over a grid of alpha.

    `aurocs` are those of the evaluation, or of `wrap`, empty where they are unknown.
    """

    score: str
    alpha: float | None
    histogram: ScoreHistogram
    outcomes: Sequence[AlphaOutcome]
    aurocs: Sequence[MeasuredAuroc]


class SampleFacts(_Schema):
    """A sampled image and its verdict; `file` is null if its image is missing."""

    file: str | None
    request_id: str
    time: datetime
    model: str
    version: str
    label: str
    p_value: float
    decision: Decision


class SamplesResponse(_Schema):
    """The newest sampled rejections, newest first."""

    samples: list[SampleFacts]
