"""A training run as validated, frozen data, read from a TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.models.networks.build import check_name
from oodguard.models.scores.build import check_score
from oodguard.models.scores.options import ScoreOptions
from oodguard.training.config.sources import Inliers, Outliers, Source


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Energy(_Table):
    """The energies that inliers are to stay below and outliers above, in nats.

    Defaults: Liu et al. 2020, arXiv:2010.03759, for CIFAR-10; for CIFAR-100 they took -27 and -5.
    """

    inlier_margin: float = -23.0
    outlier_margin: float = -5.0

    @model_validator(mode="after")
    def _inliers_lie_lower(self) -> Self:
        if self.inlier_margin >= self.outlier_margin:
            raise ValueError(
                f"inlier_margin: came {self.inlier_margin:g}, wanted less than outlier_margin,"
                f" {self.outlier_margin:g}"
            )
        return self


class Mining(_Table):
    """How outliers are chosen from a pool of `pool` times as many.

    Of the pool, ranked from least to most out-of-distribution, those from `quantile` on are taken;
    the share `attacked` of them is attacked. Defaults: Chen et al. 2021, arXiv:2006.15207, for
    CIFAR-10.
    """

    pool: int = Field(default=4, ge=2, le=64)
    quantile: float = Field(default=0.125, ge=0, lt=1)
    attacked: float = Field(default=0.5, gt=0, le=1)

    @model_validator(mode="after")
    def _enough_are_left(self) -> Self:
        if self.quantile > 1 - 1 / self.pool:
            raise ValueError(
                f"quantile: came {self.quantile:g}, wanted at most {1 - 1 / self.pool:g}: of"
                f" {self.pool} times as many the whole number must be left to take"
            )
        return self


class Trades(_Table):
    """`beta`, the weight of consistency against that of the clean loss.

    Default: Zhang et al. 2019, arXiv:1901.08573, for CIFAR-10.
    """

    beta: float = Field(default=6.0, gt=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """Whether a method trains on outliers, under attack, and with a class for rejection.

    `parameters` is the recipe's table that tunes the method, if there is one.
    """

    outliers: bool
    attack: bool
    reject_class: bool = False
    parameters: Literal["energy", "mining", "trades"] | None = None


METHODS: Mapping[str, Method] = {
    "standard": Method(outliers=False, attack=False),
    "oe": Method(outliers=True, attack=False),
    "adv": Method(outliers=False, attack=True),
    "aoe": Method(outliers=True, attack=True),
    "aloe": Method(outliers=True, attack=True),
    "aloe-abstain": Method(outliers=True, attack=True, reject_class=True),
    "trades-aloe": Method(outliers=True, attack=True, parameters="trades"),
    "acet": Method(outliers=True, attack=True),
    "energy-oe": Method(outliers=True, attack=False, parameters="energy"),
    "energy-aloe": Method(outliers=True, attack=True, parameters="energy"),
    "atom": Method(outliers=True, attack=True, reject_class=True, parameters="mining"),
}

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]

SetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]

UNKNOWN_CLASSES = "unknown_classes"
"""The row of the classes that the inliers leave out."""

AttackKind = Literal["pgd", "fgsm", "n-fgsm"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(_Frozen):
    """The architecture, by its name in `models.networks` or as `package.module:factory`.

    `width` is its first stage's, for an architecture that does not fix it. With `mirror` the
    trained network looks at every image and at its mirror image; training is the same.
    """

    name: str
    width: int | None = Field(default=None, ge=4, le=1024)
    mirror: bool = False

    @model_validator(mode="after")
    def _known(self) -> Self:
        try:
            check_name(self.name, width=self.width)
        except RecipeError as error:  # pydantic gathers ValueErrors alone
            raise ValueError(str(error)) from error
        return self

    def __str__(self) -> str:
        width = f", width {self.width}" if self.width is not None else ""
        return f"{self.name}{width}{', mean over the mirror image' if self.mirror else ''}"


class AttackSettings(_Frozen):
    """The attack of the inner maximisation: L-infinity in [0, 1] pixel space.

    `epsilon_255` is in 255ths of the pixel range; `step_size` in epsilons; `fgsm` and `n-fgsm` take
    one step. Over the first `ramp` share of the run epsilon grows linearly from 0. Outliers are
    attacked within `outlier_epsilon_255` where it is given: a wider ball on their side costs no
    accuracy on inliers.
    """

    kind: AttackKind = "pgd"
    epsilon_255: float = Field(gt=0, le=64)
    outlier_epsilon_255: float | None = Field(default=None, gt=0, le=64)
    steps: int = Field(default=1, ge=1, le=100)
    step_size: float = Field(default=1.25, gt=0, le=4)
    ramp: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _one_step_where_one_is_the_method(self) -> Self:
        if self.kind != "pgd" and self.steps != 1:
            raise ValueError(f"steps: {self.kind!r} takes 1 step; came {self.steps}")
        return self

    @property
    def epsilon(self) -> float:
        """The radius of the L-infinity ball around an inlier, in [0, 1] pixel units."""
        return self.epsilon_255 / 255

    @property
    def outlier_epsilon(self) -> float | None:
        """The radius around an outlier in [0, 1] pixel units; None where it is `epsilon`."""
        return None if self.outlier_epsilon_255 is None else self.outlier_epsilon_255 / 255


class Schedule(_Frozen):
    """SGD-Nesterov: linear warm-up over the `warm_up` share of the steps, then a cosine anneal.

    `average_decay` is that of the weights' moving average, which is what is kept in the end; at 0
    it is the weights themselves. With `decay_all` biases and batch-norm decay too.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(default=128, ge=2)
    peak_rate: float = Field(default=0.2, gt=0)
    final_rate: float = Field(default=0.0, ge=0)
    warm_up: float = Field(default=0.2, ge=0, lt=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    decay_all: bool = False
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
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
    method: str
    seed: int = Field(ge=0, lt=2**31)
    default_score: str = "energy"
    scores: tuple[str, ...] = ("msp", "max_logit", "energy")
    score_options: ScoreOptions = ScoreOptions()
    network: Network
    input: InputSpec
    inliers: Inliers
    outliers: Outliers | None = None
    attack: AttackSettings | None = None
    energy: Energy | None = None
    mining: Mining | None = None
    trades: Trades | None = None
    schedule: Schedule
    evaluation: Evaluation

    @property
    def reject_classes(self) -> int:
        """How many outputs the network has besides one for every class: 1 with a reject class."""
        return 1 if METHODS[self.method].reject_class else 0

    @property
    def outliers_per_batch(self) -> int:
        """How many outliers a batch brings: for a method that mines them, the whole pool."""
        if self.outliers is None:
            return 0
        learnt = round(self.schedule.batch_size * self.outliers.per_inlier)
        mined = METHODS[self.method].parameters == "mining"
        return learnt * ((self.mining or Mining()).pool if mined else 1)

    @field_validator("outliers", mode="before")
    @classmethod
    def _made_on_the_fly(cls, value: object) -> object:
        """`outliers = "synthetic"` is short for a table that asks for nothing else."""
        return {"synthetic": 1.0} if value == "synthetic" else value

    @model_validator(mode="after")
    def _parts_fit_the_method(self) -> Self:
        if self.method not in METHODS:
            raise ValueError(f"method: came {self.method!r}, wanted one of {sorted(METHODS)}")
        method = METHODS[self.method]
        for key, wanted in (("outliers", method.outliers), ("attack", method.attack)):
            came = getattr(self, key) is not None
            if wanted and not came:
                raise ValueError(f"{key}: method {self.method!r} needs a [{key}] table; none came")
            if came and not wanted:
                raise ValueError(f"{key}: method {self.method!r} takes no [{key}] table; one came")
        for key in ("energy", "mining", "trades"):
            if getattr(self, key) is not None and method.parameters != key:
                raise ValueError(f"{key}: method {self.method!r} takes no [{key}] table; one came")
        return self

    @model_validator(mode="after")
    def _the_inliers_choose_the_classes(self) -> Self:
        test, others = self.evaluation.test, self.evaluation.outliers
        if not (self.inliers.leave_out or self.inliers.only):
            return self
        if test.leave_out or test.only:
            raise ValueError("evaluation.test: takes the inliers' choice of classes; another came")
        if UNKNOWN_CLASSES in others:
            raise ValueError(
                f"evaluation.outliers: {UNKNOWN_CLASSES!r} is the row of the classes that the"
                " inliers leave out; give your set another name"
            )
        return self

    @model_validator(mode="after")
    def _scores_are_there(self) -> Self:
        if len(set(self.scores)) < len(self.scores):
            raise ValueError(f"scores: came {list(self.scores)}, wanted each once")
        for name in self.score_names:
            key = "scores" if name in self.scores else "default_score"
            try:
                check_score(name, reject_class=self.reject_classes > 0)
            except RecipeError as error:  # pydantic gathers ValueErrors alone
                raise ValueError(f"{key}: {error}") from error
        return self

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores that the bundle carries: `scores`, and the one that decides."""
        return tuple(dict.fromkeys((*self.scores, self.default_score)))


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


def evaluation_sources(recipe: Recipe) -> tuple[Source, dict[str, Source]]:
    """Return the source of the test set and those of the out-of-distribution sets by name.

    Where the inliers leave classes out, the test set leaves out the same, and what it has of them
    is an out-of-distribution set of its own, the nearest that there is: an unknown one of the kind
    that is known.
    """
    inliers, test = recipe.inliers, recipe.evaluation.test
    outliers = dict(recipe.evaluation.outliers)
    if not (inliers.leave_out or inliers.only):
        return test, outliers
    known = {"leave_out": inliers.leave_out, "only": inliers.only}
    unknown = {"leave_out": inliers.only, "only": inliers.leave_out}
    return test.model_copy(update=known), {
        UNKNOWN_CLASSES: test.model_copy(update=unknown),
        **outliers,
    }
