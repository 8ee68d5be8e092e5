"""The recipe of a training run: validated, frozen data that is read from a TOML file."""

from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from oodguard.models.bundle import Bundle
from oodguard.models.errors import RecipeError
from oodguard.models.frozen_model import FrozenModel
from oodguard.models.manifest import BundleName, InputSpec
from oodguard.models.records import BundleVersion
from oodguard.models.scores import check_score
from oodguard.models.scores.base import ScoreOptions
from oodguard.sources.source import Source
from oodguard.training.config.attack import AttackSettings
from oodguard.training.config.methods import (
    METHODS,
    EnergySettings,
    MiningSettings,
    TradesSettings,
)
from oodguard.training.config.network import NetworkSettings, TeacherSettings
from oodguard.training.config.recipe_errors import describe_recipe_error
from oodguard.training.config.recipe_sources import UNKNOWN_CLASSES, read_recipe_text, recipe_tables
from oodguard.training.config.schedule import ScheduleSettings, schedule_defaults
from oodguard.training.config.sources import Inliers, Outliers

SetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]

EVALUATION = "evaluation"
"""The table that a file for the evaluation of a bundle may have alone."""


class EvaluationSettings(FrozenModel):
    """The evaluation data."""

    test: Source
    """The test set, with the inliers' classes."""

    outliers: dict[SetName, Source] = Field(min_length=1)
    """Out-of-distribution sets; their rows in the table."""


class EvaluationRecipe(FrozenModel):
    """The table of a recipe that the evaluation of a bundle requires, in a file of its own."""

    evaluation: EvaluationSettings


class Recipe(FrozenModel):
    """The keys that determine the result of a training run, except for the machine."""

    name: BundleName
    """Name of the run and of the bundle: lower-case letters, digits, hyphens."""

    version: BundleVersion = "1"
    """Version of the bundle."""

    method: str
    """Method of training, docs/training.md#the-methods."""

    seed: int = Field(ge=0, lt=2**31)
    """Determines weights, order, augmentation, attack starts and the split."""

    default_score: str = "energy"
    """The deciding score unless the operator selects another."""

    scores: tuple[str, ...] = ("msp", "max_logit", "energy")
    """The scores of the bundle, in addition to `default_score`, docs/detectors.md."""

    score_options: ScoreOptions = ScoreOptions()
    network: NetworkSettings
    input: InputSpec
    inliers: Inliers
    outliers: Outliers | None = None
    attack: AttackSettings | None = None
    energy: EnergySettings | None = None
    mining: MiningSettings | None = None
    trades: TradesSettings | None = None
    teacher: TeacherSettings | None = None
    schedule: ScheduleSettings
    evaluation: EvaluationSettings

    @property
    def reject_classes(self) -> int:
        """The number of outputs in addition to one per class: 1 with a reject class, else 0."""
        return 1 if METHODS[self.method].reject_class else 0

    @property
    def outliers_per_batch(self) -> int:
        """The number of outliers in a batch; for a method that mines them, the size of the pool."""
        if self.outliers is None:
            return 0
        used = round(self.schedule.batch_size * self.outliers.per_inlier)
        is_mined = METHODS[self.method].parameters == "mining"
        return used * ((self.mining or MiningSettings()).pool if is_mined else 1)

    @property
    def outlier_weight(self) -> float:
        """The weight of the outlier term in the loss; 0 without outliers."""
        return self.outliers.weight if self.outliers else 0.0

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores in the bundle: `scores`, then `default_score` if it is not among them."""
        return tuple(dict.fromkeys((*self.scores, self.default_score)))

    @field_validator("outliers", mode="before")
    @classmethod
    def _expand_synthetic(cls, value: object) -> object:
        """Accept `outliers = "synthetic"` as short for a table with `synthetic = 1.0` alone."""
        return {"synthetic": 1.0} if value == "synthetic" else value

    @model_validator(mode="before")
    @classmethod
    def _choose_schedule_defaults(cls, data: object) -> object:
        """Complete `[schedule]` with the defaults for the kind of network; see the function."""
        if not isinstance(data, dict):
            return data
        network, schedule = data.get("network"), data.get("schedule")
        if not (isinstance(network, dict) and isinstance(schedule, dict)):
            return data
        defaults = schedule_defaults(
            str(network.get("name")),
            weights=network.get("weights") is not None,
            optimizer=schedule.get("optimizer"),
        )
        return {**data, "schedule": {**defaults, **schedule}}

    @model_validator(mode="after")
    def _tables_match_method(self) -> Self:
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}, expected one of {sorted(METHODS)}")
        method = METHODS[self.method]
        for key, required in (("outliers", method.outliers), ("attack", method.attack)):
            if required and getattr(self, key) is None:
                raise ValueError(f"{key}: method {self.method!r} requires the [{key}] table")
        allowed = {
            "outliers": method.outliers,
            "attack": method.attack,
            "teacher": method.teacher,
        }
        allowed |= {key: method.parameters == key for key in ("energy", "mining", "trades")}
        for key, is_allowed in allowed.items():
            if getattr(self, key) is not None and not is_allowed:
                raise ValueError(
                    f"{key}: method {self.method!r} does not use the [{key}] table; remove it"
                )
        return self

    @model_validator(mode="after")
    def _batches_have_outliers(self) -> Self:
        if self.outliers is not None and self.outliers_per_batch == 0:
            raise ValueError(
                f"outliers.per_inlier is {self.outliers.per_inlier}, expected at least one outlier"
                f" in a batch of {self.schedule.batch_size}, which rounds to 0"
            )
        return self

    @model_validator(mode="after")
    def _mirror_images_keep_their_class(self) -> Self:
        if self.schedule.mirror_consistency and not self.inliers.mirror:
            raise ValueError(
                f"schedule.mirror_consistency is {self.schedule.mirror_consistency:g}, expected 0"
                " with inliers.mirror = false, by which mirror images are not of the same class"
            )
        return self

    @model_validator(mode="after")
    def _inliers_select_the_classes(self) -> Self:
        test, others = self.evaluation.test, self.evaluation.outliers
        if not (self.inliers.leave_out or self.inliers.only):
            return self
        if test.leave_out or test.only:
            raise ValueError(
                "evaluation.test: received leave_out or only, expected none of them: the test set"
                " uses the classes that [inliers] selects"
            )
        if UNKNOWN_CLASSES in others:
            raise ValueError(
                f"evaluation.outliers: the name {UNKNOWN_CLASSES!r} is reserved for the classes"
                " that [inliers] leaves out; rename the set"
            )
        return self

    @model_validator(mode="after")
    def _scores_exist(self) -> Self:
        if len(set(self.scores)) < len(self.scores):
            raise ValueError(f"scores is {list(self.scores)}, expected no duplicates")
        for name in self.score_names:
            key = "scores" if name in self.scores else "default_score"
            try:
                check_score(name, reject_class=self.reject_classes > 0)
            except RecipeError as error:  # pydantic collects only ValueErrors
                raise ValueError(f"{key}: {error}") from error
        return self


ParsedRecipe = TypeVar("ParsedRecipe", Recipe, EvaluationRecipe)


def read_recipe(path: Path) -> Recipe:
    """Read and parse a recipe file.

    Raises:
        RecipeError: As `read_recipe_text` and `parse_recipe`.
    """
    return parse_recipe(read_recipe_text(path), origin=str(path))


def parse_recipe(text: str, *, origin: str) -> Recipe:
    """Parse a recipe's TOML text; errors name `origin` as its source.

    Raises:
        RecipeError: The text is not TOML, or keys are invalid; the error lists each of them with
            the received and the expected value.
    """
    return _validated(Recipe, recipe_tables(text, origin=origin), origin)


def parse_evaluation_recipe(text: str, *, origin: str) -> Recipe | EvaluationRecipe:
    """Parse the TOML text of a recipe, or of its table [evaluation] alone.

    Raises:
        RecipeError: As `parse_recipe`.
    """
    tables = recipe_tables(text, origin=origin)
    if set(tables) == {EVALUATION}:
        return _validated(EvaluationRecipe, tables, origin)
    return _validated(Recipe, tables, origin)


def recipe_of_bundle(bundle: Bundle) -> Recipe | None:
    """Return the recipe inside a bundle, or None if it has none that names its training images.

    Raises:
        RecipeError: As `parse_recipe`.
    """
    text = bundle.evaluation.get("recipe")
    if not isinstance(text, str):
        return None
    recipe = parse_evaluation_recipe(text, origin=f"the recipe of {bundle.manifest.name}")
    return recipe if isinstance(recipe, Recipe) else None


def _validated(kind: type[ParsedRecipe], tables: dict[str, Any], origin: str) -> ParsedRecipe:
    try:
        return kind.model_validate(tables)
    except ValidationError as error:
        found = (f"  {describe_recipe_error(item, kind)}" for item in error.errors())
        lines = "\n".join(dict.fromkeys(found))  # a union has an error for each of its types
        raise RecipeError(f"{origin}:\n{lines}") from error
