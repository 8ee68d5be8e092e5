from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from models.manifest import InputSpec
from models.networks import NETWORKS
from training.recipe import Attack, Evaluation, Inliers, Network, Outliers, Recipe, Schedule, Source

TEXT = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
TABLES: dict[str, type[BaseModel]] = {
    "network": Network,
    "input": InputSpec,
    "inliers": Inliers,
    "outliers": Outliers,
    "attack": Attack,
    "schedule": Schedule,
    "evaluation": Evaluation,
}


def _keys() -> Iterator[str]:
    yield from (key for key in Recipe.model_fields if key not in TABLES)
    for table, model in TABLES.items():
        own = model.model_fields.keys()
        inherited = Source.model_fields.keys() if issubclass(model, Source) else ()
        yield from (f"{table}.{key}" for key in own if key not in inherited)
    yield from Source.model_fields


@pytest.mark.parametrize("key", tuple(_keys()))
def test_every_key_of_a_recipe_is_documented(key: str) -> None:
    assert f"`{key}`" in TEXT


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_documented(name: str) -> None:
    assert f"`{name}`" in TEXT
