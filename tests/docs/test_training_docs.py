from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from oodguard.models.manifest import InputSpec
from oodguard.models.scores.base import ScoreOptions
from oodguard.sources.source import Source
from oodguard.training.config.methods import EnergySettings, MiningSettings, TradesSettings
from oodguard.training.config.recipe import (
    AttackSettings,
    EvaluationSettings,
    NetworkSettings,
    Recipe,
    parse_recipe,
)
from oodguard.training.config.schedule import ScheduleSettings
from oodguard.training.config.sources import Inliers, Outliers

TEXT = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
TABLES: dict[str, type[BaseModel]] = {
    "score_options": ScoreOptions,
    "network": NetworkSettings,
    "input": InputSpec,
    "inliers": Inliers,
    "outliers": Outliers,
    "attack": AttackSettings,
    "energy": EnergySettings,
    "mining": MiningSettings,
    "trades": TradesSettings,
    "schedule": ScheduleSettings,
    "evaluation": EvaluationSettings,
}


def _keys() -> Iterator[str]:
    yield from (key for key in Recipe.model_fields if key not in TABLES)
    for table, model in TABLES.items():
        own = model.model_fields.keys()
        inherited = Source.model_fields.keys() if issubclass(model, Source) else ()
        yield from (f"{table}.{key}" for key in own if key not in inherited)
    yield from Source.model_fields


def test_training_page_recipe_is_valid() -> None:
    (block,) = (part.partition("```")[0] for part in TEXT.split("```toml\n")[1:])
    parse_recipe(block, origin="docs/training.md")


def test_training_page_documents_every_recipe_key() -> None:
    assert [key for key in _keys() if f"`{key}`" not in TEXT] == []
