"""Grafana's schema of boards, from the types of its Foundation SDK, as strict pydantic models.

The SDK is generated from the schema that Grafana is built from. Its own `from_json` ignores unknown
fields and accepts any type, so its annotations are read instead.
"""

import enum
import types
from functools import cache
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    timeseries,
)
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model
from pydantic.alias_generators import to_camel

Type: TypeAlias = Any

PANELS: dict[str, tuple[type, type | None]] = {
    "timeseries": (timeseries.Options, common.GraphFieldConfig),
    "stat": (stat.Options, None),
    "heatmap": (heatmap.Options, heatmap.FieldConfig),
    "table": (table.Options, common.TableFieldOptions),
}

# Fields of Grafana's Prometheus data source that the general schema omits.
PROMETHEUS_ANNOTATION_FIELDS = {"step": str, "titleFormat": str, "textFormat": str, "tagKeys": str}


def check_board(board: str) -> None:
    """Validate a board's JSON.

    Raises:
        pydantic.ValidationError: The JSON is not valid.
    """
    TypeAdapter(_strict(dashboard.Dashboard)).validate_json(board, strict=True)


def check_panel(kind: str, options: str, custom: str | None) -> None:
    """Validate the options of a panel type and its custom field options, each as JSON.

    Raises:
        pydantic.ValidationError: The JSON is not valid.
    """
    options_type, fields_type = PANELS[kind]
    TypeAdapter(_strict(options_type)).validate_json(options, strict=True)
    if custom is not None:
        TypeAdapter(_strict(fields_type)).validate_json(custom, strict=True)


# Queries are those of Prometheus; provisioned boards have no snapshot.
REPLACED_TYPES: dict[Type, Type] = {
    object: Any,
    variants.Dataquery: prometheus.Dataquery,
    dashboard.Snapshot: type(None),
}


@cache
def _strict(kind: Type) -> Type:
    """Return a type of the SDK as a strict pydantic type."""
    kind = REPLACED_TYPES.get(kind, kind)
    origin: Type = get_origin(kind)
    arguments = get_args(kind)
    if origin in {Union, types.UnionType}:
        return Union[tuple(_strict(each) for each in arguments)]  # noqa: UP007 - built at run time
    if origin in {list, dict}:
        return origin[tuple(_strict(each) for each in arguments)]
    of_the_sdk = isinstance(kind, type) and kind.__module__.startswith("grafana_foundation_sdk")
    if of_the_sdk and not issubclass(kind, enum.Enum):
        return _model(kind)
    return kind


def _model(kind: type) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for attribute, hint in get_type_hints(kind).items():
        optional = type(None) in get_args(hint)
        name = to_camel(attribute.removesuffix("_val"))
        fields[name] = (_strict(hint), None if optional else ...)
    if kind is dashboard.AnnotationQuery:
        fields |= {name: (text, "") for name, text in PROMETHEUS_ANNOTATION_FIELDS.items()}
    return create_model(kind.__name__, __config__=ConfigDict(extra="forbid"), **fields)
