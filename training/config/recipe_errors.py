"""Describe an invalid key of a recipe: the received value, the expected value and the remedy."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as shortened
from types import MappingProxyType
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from oodguard.models.validation_errors import describe_error, location

_KINDS: Mapping[object, str] = MappingProxyType(
    {int: "a whole number", float: "a number", str: "a string", Path: "a path in quotes"}
)

_KINDS_OF_CLASS = ("str", "int")
_CLASS_KINDS = (("str",), ("int",))
_PATHS = "a path in quotes, or an array of paths"


def describe_recipe_error(error: ErrorDetails, recipe: type[BaseModel]) -> str:
    """Describe one validation error of a recipe of the given model.

    Returns:
        For example `[atack] is an unknown table, expected one of [network], [attack]; did you mean
        [attack]?`
    """
    for at, step in enumerate(error["loc"]):
        if at and ("lax-or-strict[" in str(step) or error["loc"][at:] in _CLASS_KINDS):
            place = (*error["loc"][:at], *error["loc"][at + 1 :][:1])
            value = shortened(error["input"])
            expected = "a name or a number of a class" if step in _KINDS_OF_CLASS else _PATHS
            return f"{location(place)} is {value}, expected {expected}"
    if error["type"] == "path_type":
        return f"{location(error['loc'])} is {shortened(error['input'])}, expected a path in quotes"
    *table, key = error["loc"] or ("",)
    match error["type"]:
        case "missing":
            return _describe_missing(_model_at(recipe, table), table, str(key))
        case "extra_forbidden":
            is_table = isinstance(error["input"], dict)
            return _describe_unknown(_model_at(recipe, table), table, str(key), is_table=is_table)
    if key == "[key]":  # pydantic's location of an invalid key of a mapping
        return describe_error(error, f"a key of {_dotted(table[:-1])}")
    return describe_error(error, mapping="table")


def _describe_missing(model: type[BaseModel], table: list[int | str], key: str) -> str:
    field = model.model_fields[key]
    if _is_table(field):
        return f"the table [{_dotted([*table, key])}] is missing; add it"
    place = f"to [{_dotted(table)}]" if table else "above the first table"
    kind = _KINDS[field.annotation]
    return f"{_dotted([*table, key])} is missing, expected {kind}; add `{key} = ...` {place}"


def _describe_unknown(
    model: type[BaseModel], table: list[int | str], key: str, *, is_table: bool
) -> str:
    fields = model.model_fields
    known = [name for name in fields if _is_table(fields[name]) == is_table] or list(fields)

    def written(name: str) -> str:
        return f"[{_dotted([*table, name])}]" if is_table else name

    kind = "table" if is_table else "key"
    near = get_close_matches(key, known, n=1)
    return (
        f"{written(key) if is_table else _dotted([*table, key])} is an unknown {kind}, expected"
        f" one of {', '.join(written(name) for name in known)}"
        + (f"; did you mean {written(near[0])}?" if near else "")
    )


def _dotted(steps: list[int | str]) -> str:
    return ".".join(map(str, steps))


def _model_at(model: type[BaseModel], table: list[int | str]) -> type[BaseModel]:
    """Return the model of a table; a mapping of tables takes two steps, its name and a key."""
    steps = iter(table)
    for step in steps:
        annotation = model.model_fields[str(step)].annotation
        if get_origin(annotation) is dict:
            next(steps)
        (model,) = _models(annotation)
    return model


def _is_table(field: FieldInfo) -> bool:
    return bool(_models(field.annotation))


def _models(annotation: object) -> list[type[BaseModel]]:
    """Return the models in an annotation such as `dict[str, Source]` or `Outliers | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
