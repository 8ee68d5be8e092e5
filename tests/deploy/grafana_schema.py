"""Grafana's schema of boards, from the types of its Foundation SDK, as strict pydantic models.

The SDK is generated from the schema that Grafana itself is built from; its own `from_json` drops
what it does not know and takes any type, so its annotations are read instead.
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

# Grafana's Prometheus data source reads these; the general schema leaves them out.
OF_PROMETHEUS_MARKS = {"step": str, "titleFormat": str, "textFormat": str, "tagKeys": str}


def check_board(board: str) -> None:
    """Hold a board's JSON to the schema.

    Raises:
        pydantic.ValidationError: it breaks it.
    """
    TypeAdapter(_strict(dashboard.Dashboard)).validate_json(board, strict=True)


def check_panel(kind: str, options: str, custom: str | None) -> None:
    """Hold what is the panel's kind's own to the schema, each as JSON.

    Raises:
        pydantic.ValidationError: it breaks it.
    """
    of_options, of_fields = PANELS[kind]
    TypeAdapter(_strict(of_options)).validate_json(options, strict=True)
    if custom is not None:
        TypeAdapter(_strict(of_fields)).validate_json(custom, strict=True)


# A query is one of Prometheus; a board within a snapshot is not what is provisioned.
INSTEAD: dict[Type, Type] = {
    object: Any,
    variants.Dataquery: prometheus.Dataquery,
    dashboard.Snapshot: type(None),
}


@cache
def _strict(kind: Type) -> Type:
    """A type of the SDK as one that pydantic checks."""
    kind = INSTEAD.get(kind, kind)
    origin: Type = get_origin(kind)
    arguments = get_args(kind)
    if origin in {Union, types.UnionType}:
        return Union[tuple(_strict(each) for each in arguments)]  # noqa: UP007 - made, not written
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
        fields |= {name: (text, "") for name, text in OF_PROMETHEUS_MARKS.items()}
    return create_model(kind.__name__, __config__=ConfigDict(extra="forbid"), **fields)
