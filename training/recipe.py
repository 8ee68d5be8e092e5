"""A training run as validated, frozen data, read from a TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import RecipeError
from models.manifest import InputSpec
from models.networks import NETWORKS
from models.scores import SCORES

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
SetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """Where images come from: exactly one of a hub name, an image folder or a Parquet file.

    `images` caps how many are read; `split` is the hub's or folder's split name.
    """

    hub: str | None = None
    folder: Path | None = None
    parquet: Path | None = None
    split: str = "train"
    images: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _exactly_one_place(self) -> Self:
        given = [key for key in ("hub", "folder", "parquet") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of hub, folder, parquet; came: {given or 'none'}")
        return self

    @property
    def name(self) -> str:
        """The data set's name for cards and tables."""
        if self.hub is not None:
            return self.hub
        place = self.folder or self.parquet
        return place.stem if place else ""


class Inliers(Source):
    """The in-distribution images; the first two figures are held out of training.

    `validation` images are watched during training; `calibration` images are touched only by
    `evaluate` and `export`, which set the rejection threshold on them.
    """

    validation: int = Field(ge=1)
    calibration: int = Field(ge=20)


class Outliers(Source):
    """The auxiliary out-of-distribution images, seen in training only.

    `blur` is the largest weight, drawn per image, with which an outlier is mixed with its blurred
    self, so that sharpness alone does not tell outliers from inliers.
    """

    blur: float = Field(default=0.0, ge=0, le=1)
    weight: float = Field(default=0.5, gt=0)
    per_inlier: float = Field(default=1.0, gt=0, le=4)


class Network(_Frozen):
    """The architecture, by its name in `models.networks`, and its first stage's width."""

    name: str
    width: int = Field(ge=4, le=1024)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.name not in NETWORKS:
            raise ValueError(f"name: came {self.name!r}, wanted one of {sorted(NETWORKS)}")
        return self


class Attack(_Frozen):
    """The attack of the inner maximisation: L-infinity in [0, 1] pixel space.

    `epsilon_255` is in 255ths of the pixel range; `step_size` in epsilons.
    """

    epsilon_255: float = Field(gt=0, le=64)
    steps: int = Field(default=1, ge=1, le=100)
    step_size: float = Field(default=1.25, gt=0, le=4)


class Schedule(_Frozen):
    """SGD-Nesterov: linear warm-up over the `warm_up` share of the steps, cosine anneal to zero.

    `average_decay` is that of the weights' moving average, which is what is kept in the end.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(default=128, ge=2)
    peak_rate: float = Field(default=0.2, gt=0)
    warm_up: float = Field(default=0.2, ge=0, lt=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    average_decay: float = Field(default=0.998, ge=0, lt=1)
    precision: Literal["bfloat16", "float32"] = "bfloat16"


class Evaluation(_Frozen):
    """The data of the honest table: the test set and the out-of-distribution sets by name."""

    test: Source
    outliers: dict[SetName, Source] = Field(min_length=1)


class Recipe(_Frozen):
    """Everything that determines a run, but for the machine."""

    name: Name
    version: str = "1"
    method: Literal["standard", "aloe"]
    seed: int = Field(ge=0, lt=2**31)
    default_score: str = "energy"
    network: Network
    input: InputSpec
    inliers: Inliers
    outliers: Outliers | None = None
    attack: Attack | None = None
    schedule: Schedule
    evaluation: Evaluation

    @model_validator(mode="after")
    def _parts_fit_the_method(self) -> Self:
        hardened = self.method == "aloe"
        for key in ("outliers", "attack"):
            if hardened and getattr(self, key) is None:
                raise ValueError(f"{key}: method 'aloe' needs a [{key}] table; none came")
            if not hardened and getattr(self, key) is not None:
                raise ValueError(f"{key}: method {self.method!r} takes no [{key}] table; one came")
        if self.default_score not in SCORES:
            raise ValueError(
                f"default_score: came {self.default_score!r}, wanted one of {sorted(SCORES)}"
            )
        return self


def parse_recipe(text: str, *, origin: str) -> Recipe:
    """Parse a recipe's TOML text; `origin` names it in errors.

    Raises:
        RecipeError: naming every offending key, what came and what was wanted.
    """
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not TOML: {error}") from error
    except ValidationError as error:
        complaints = "\n".join(f"  {_complaint(dict(item))}" for item in error.errors())
        raise RecipeError(f"{origin}:\n{complaints}") from error


def read_recipe(path: Path) -> Recipe:
    """Read and parse a recipe file.

    Raises:
        RecipeError: the file cannot be read, or as `parse_recipe`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_recipe(text, origin=str(path))


def _complaint(item: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    came = item["input"]
    shown = f" (came {came!r})" if not isinstance(came, dict) else ""
    return f"{key}: {message}{shown}" if key else message
