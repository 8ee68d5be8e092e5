"""The text of a recipe, and its sources, which are read before torch is loaded."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from oodguard.models.errors import RecipeError
from oodguard.sources.source import LOCATIONS, Source
from oodguard.sources.special_file import is_special
from oodguard.training.config.sources import Inliers, Outliers

UNKNOWN_CLASSES = "unknown_classes"
"""The evaluation set of the test images whose classes the inliers leave out."""


_LATER = ("name", "version", "scores", "default_score", "score_options", "evaluation")
_IMAGES = (*LOCATIONS, "split", "image_column", "label_column")
_PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "inliers": _IMAGES,
        "outliers": _IMAGES,
        "network": ("weights", "prefix"),
        "teacher": ("weights",),
    }
)


def read_recipe_text(path: Path) -> str:
    """Return the text of a recipe file, without a byte order mark.

    Raises:
        RecipeError: The file cannot be read, or is not UTF-8.
    """
    if is_special(path):
        raise RecipeError(f"{path}: the path is a pipe or a device, expected a file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecipeError(f"{path}: cannot read the recipe: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path}: byte {error.start} is 0x{error.object[error.start]:02x}, expected UTF-8:"
            " save the recipe with this encoding"
        ) from error


def recipe_tables(text: str, *, origin: str = "the recipe") -> dict[str, Any]:
    """Return the tables of a recipe's TOML text; errors name `origin` as its source.

    Raises:
        RecipeError: The text is not TOML.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{origin}: invalid TOML: {error}") from error


def recipe_sources(text: str) -> dict[str, tuple[Source, bool]]:
    """Return the sources of a recipe by key, each with whether its images need labels.

    Invalid tables are left out: `parse_recipe`, which needs torch, reports them.

    Raises:
        RecipeError: The text is not TOML.
    """
    tables = recipe_tables(text)
    evaluation = _table(tables, "evaluation")
    inliers, test = _source(Inliers, tables.get("inliers")), _source(Source, evaluation.get("test"))
    others: dict[str, Source | None] = {}
    if isinstance(inliers, Inliers) and test is not None:
        test, others[f"evaluation.outliers.{UNKNOWN_CLASSES}"] = inliers.divide_classes(test)
    outliers = _source(Outliers, tables.get("outliers"))
    if isinstance(outliers, Outliers) and outliers.synthetic == 1:
        outliers = None
    others |= {
        f"evaluation.outliers.{name}": _source(Source, table)
        for name, table in _table(evaluation, "outliers").items()
    }
    found = {"inliers": inliers, "outliers": outliers, "evaluation.test": test, **others}
    labelled = {"inliers", "evaluation.test"}
    return {key: (each, key in labelled) for key, each in found.items() if each is not None}


def training_settings(text: str) -> str | None:
    """Return a hash of the settings of a recipe that determine its training and its split.

    Those that determine neither are names, scores, the data of the evaluation, and the places of
    images and weights, whose content is recorded. None for a text that is no recipe.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
    for key in _LATER:
        tables.pop(key, None)
    for key, places in _PLACES.items():
        if key == "teacher" and key not in tables:
            continue  # the hashes of runs before this table do not have it
        tables[key] = {k: v for k, v in _table(tables, key).items() if k not in places}
    return hashlib.sha256(json.dumps(tables, sort_keys=True, default=str).encode()).hexdigest()


def _table(parent: Mapping[str, object], key: str) -> dict[str, object]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _source(kind: type[Source], table: object) -> Source | None:
    try:
        return kind.model_validate(table)
    except ValidationError:
        return None
