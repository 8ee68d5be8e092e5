"""The keys of a recipe: type, default and meaning, from the models that validate it."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from guide.references.blocks import linked, table
from oodguard.sources.source import Source
from oodguard.training.config.recipe import Recipe

_NAMES: dict[object, str] = {str: "text", bool: "boolean", int: "integer", float: "number"}
_NAMES |= {Path: "path", Source: "source"}

_BOUNDS = (
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Gt, "gt", "above"),
    (annotated_types.Le, "le", "at most"),
    (annotated_types.Lt, "lt", "below"),
)


def recipe_keys() -> str:
    """Return one table of the keys for each table of a recipe, and one for sources."""
    parts: list[tuple[str, str, type[BaseModel]]] = [
        ("The first keys", "", Recipe),
        *((f"[{name}]", f"{name}.", model) for name, model in _tables(Recipe)),
        ("Sources", "", Source),
    ]
    return "\n\n".join(
        f"## {title}\n\n{_describe(model)}\n\n{model_rows(model, prefix)}"
        for title, prefix, model in parts
    )


def _tables(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        nested = _nested(field)
        if nested is not None:
            yield name, nested


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a table of its own, else None."""
    for each in (field.annotation, *get_args(field.annotation)):
        if inspect.isclass(each) and issubclass(each, BaseModel) and each is not Source:
            return each
    return None


def _describe(model: type[BaseModel]) -> str:
    """Return the first paragraph of a model's docstring."""
    return linked(inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0])


def model_rows(model: type[BaseModel], prefix: str) -> str:
    """Return the table of the keys that a model itself defines, except nested tables."""
    meanings = _attribute_docstrings(model)
    rows = [
        [
            f"`{prefix}{name}`",
            _type(field.annotation, field.metadata),
            _default(field),
            linked(meanings[name]),
        ]
        for name, field in model.model_fields.items()
        if _nested(field) is None and name in meanings
    ]
    return table(["key", "type", "default", "meaning"], rows)


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings under the fields that a model itself defines.

    Raises:
        LookupError: A field has none.
    """
    source = textwrap.dedent(inspect.getsource(model))
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - narrows the type
    found: dict[str, str] = {}
    for field, after in zip(definition.body, [*definition.body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        match after:
            case ast.Expr(value=ast.Constant(value=str(text))):
                found[field.target.id] = text
            case _ if _nested(model.model_fields[field.target.id]) is None:
                raise LookupError(f"{model.__name__}.{field.target.id} has no docstring")
    return found


def _type(annotation: object, metadata: list[Any]) -> str:
    """Return the type of a value in words, with its bounds."""
    bounds = [
        f"{words} {getattr(each, name)}"
        for kind, name, words in _BOUNDS
        for each in metadata
        if isinstance(each, kind)
    ]
    return ", ".join([_type_name(annotation), *bounds])


def _type_name(annotation: object) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _NAMES:
        return _NAMES[annotation]
    if origin is Literal:
        return " or ".join(f"`{json.dumps(each)}`" for each in arguments)
    if origin in {Union, UnionType}:
        return " or ".join(_type_name(each) for each in arguments if each is not NoneType)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"{_type_name(arguments[1])} by name"
    if hasattr(annotation, "__metadata__"):
        return _type_name(arguments[0])
    raise LookupError(f"{annotation} has no name in the reference of recipe keys")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    return f"`{json.dumps(field.default)}`"
