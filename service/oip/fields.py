"""Members of JSON objects, read by name and type."""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import orjson

from service.errors import MalformedBody, WrongFields

Json: TypeAlias = Mapping[str, Any]
T = TypeVar("T")

NAMES: Mapping[type, str] = {
    bool: "boolean",
    dict: "object",
    float: "fraction",
    int: "whole number",
    list: "list",
    str: "string",
    type(None): "null",
}

# As many as 64 images of 32 x 32 pixels have as nested lists, or one of 224 x 224. To parse them
# takes some 30 ms, in which no other thread runs, and 20 MB.
MOST_MARKS = 270_000


def parse_object(text: bytes, whole: str) -> Json:
    """Parse a JSON object, given that its values are not too many to be parsed.

    Args:
        text: The JSON.
        whole: What it is, for errors.

    Raises:
        MalformedBody: Not JSON.
        WrongFields: No object, or one of too many values.
    """
    # Every value but the first stands behind one of three marks. Counting allocates nothing.
    marks = sum(text.count(mark) for mark in (b",", b"[", b"{")) if len(text) > MOST_MARKS else 0
    if marks > MOST_MARKS:
        raise WrongFields(
            f"a JSON of {marks} values and lists came; at most {MOST_MARKS} are read; send the"
            " tensor as binary data"
        )
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"{whole} is not JSON: {error}") from error
    return as_object(value, whole)


def as_object(value: object, whole: str) -> Json:
    """Take a value for an object.

    Raises:
        WrongFields: It is none.
    """
    if not isinstance(value, dict):
        raise WrongFields(f"{whole} is a {NAMES[type(value)]}; an object is wanted")
    return value


def member(holder: Json, name: str, kind: type[T], whole: str) -> T | None:
    """The member of an object, or None where it is absent or null.

    Args:
        holder: The object.
        name: The member's name.
        kind: Its type; true is no whole number.
        whole: What the object is, for errors.

    Raises:
        WrongFields: It has another type.
    """
    value = holder.get(name)
    if value is None or type(value) is kind:
        return value
    raise WrongFields(f"{name!r} of {whole} is a {NAMES[type(value)]}; a {NAMES[kind]} is wanted")


def parameters(holder: Json, whole: str) -> Json:
    """The member `parameters` of an object; empty where it is absent or null.

    Raises:
        WrongFields: It is no object.
    """
    return member(holder, "parameters", dict, whole) or {}
