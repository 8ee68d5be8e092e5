"""Describe the errors of pydantic and of JSON parsers: the invalid value, and the expected one."""

import codecs
import json
import re
from collections.abc import Mapping
from reprlib import repr as shortened
from types import MappingProxyType

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_EXPECTED: Mapping[str, str] = MappingProxyType(
    {
        "bool_parsing": "true or false",
        "bool_type": "true or false",
        "finite_number": "a finite number",
        "float_parsing": "a number",
        "float_type": "a number",
        "greater_than": "a number greater than {gt}",
        "greater_than_equal": "at least {ge}",
        "int_from_float": "a whole number",
        "int_parsing": "a whole number",
        "int_type": "a whole number",
        "less_than": "a number less than {lt}",
        "less_than_equal": "at most {le}",
        "list_type": "an array",
        "literal_error": "{expected}",
        "none_required": "null",
        "string_pattern_mismatch": "a string that matches {pattern}",
        "string_too_long": "at most {max_length} characters",
        "string_too_short": "a string with a length of at least {min_length}",
        "string_type": "a string",
        "too_long": "a length of at most {max_length}",
        "too_short": "a length of at least {min_length}",
        "tuple_type": "an array",
    }
)
PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        r"^[a-z0-9][a-z0-9-]{0,63}$": "1 to 64 lower-case letters, digits and hyphens, the first"
        " no hyphen",
        r"^[a-z0-9][a-z0-9-]{0,31}$": "1 to 32 lower-case letters, digits and hyphens, the first"
        " no hyphen",
        r"^[a-z0-9][a-z0-9_-]{0,63}$": "1 to 64 lower-case letters, digits, underscores and"
        " hyphens, the first a letter or digit",
        r"^[A-Za-z0-9._-]{1,32}$": "1 to 32 letters, digits, dots, underscores and hyphens",
        r"^[0-9a-f]{64}$": "64 hexadecimal digits in lower case",
        r"^sha256:[0-9a-f]{32}:[0-9a-f]{64}$": "sha256:SALT:DIGEST with 32 and 64 hexadecimal"
        " digits",
        r"^(/[A-Za-z0-9._~-]+)+$": "a path such as /guard",
        r"^(\*|https?://[A-Za-z0-9.\-\[\]:]+(,\s*https?://[A-Za-z0-9.\-\[\]:]+)*)$": "* or origins"
        " such as https://example.org, separated by commas",
    }
)
"""The regular expressions of fields in words."""

MAX_ERRORS = 10
"""A file of another program may have millions, and each becomes a part of one message."""

MAX_KEY_CHARACTERS = 100

_MAPPINGS = frozenset({"dict_type", "model_type", "model_attributes_type"})
_PREFIX = "Input should be "


def describe_error(
    error: ErrorDetails,
    name: str | None = None,
    *,
    received: bool = True,
    mapping: str = "object",
    null: str = "null",
) -> str:
    """Describe one error of `ValidationError.errors()`.

    Args:
        error: The error that pydantic reports.
        name: The name of the invalid value; by default its location, such as `keys[0].id`.
        received: Repeat the received value, shortened. Use False for secrets.
        mapping: Term of the format for a value with keys, such as `table` in TOML.
        null: Term of the format for no value.

    Returns:
        For example `alpha is '7', expected a number less than 1`, `name is missing`, or
        `alhpa is not a known key`. A validator's own message is preceded by the name.
    """
    name = location(error["loc"]) if name is None else name
    match error["type"]:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{name} is not a known key"
        case "json_invalid":
            place = re.search(r"line (\d+) column (\d+)", error["msg"])
            cause = _syntax_error(*place.groups()) if place else "a syntax error"
            return f"{name or 'the value'} is not valid JSON: {cause}"
    expected = _expected(error, mapping)
    if expected is None:
        message = error["msg"].removeprefix("Value error, ")
        return f"{name}: {message}" if name else message
    if not received:
        return f"{name}: expected {expected}"
    value = error["input"]
    text = null if value is None else shortened(value)
    text = text.lower() if isinstance(value, bool) else text
    return f"{name or 'the value'} is {text}, expected {expected}"


def describe_json_error(document: bytes | bytearray | memoryview, error: Exception) -> str:
    """Describe why a parser refused a JSON document, and where, independent of the parser.

    Args:
        document: The bytes that were parsed.
        error: The error of `json` or `orjson`, or a `RecursionError`.
    """
    content = bytes(document)
    if not content:
        return "it is empty"
    if content.startswith(codecs.BOM_UTF8):
        return "it starts with a byte order mark"
    try:
        content.decode()
    except UnicodeDecodeError as encoding:
        return f"byte {encoding.start} is not UTF-8"
    if isinstance(error, RecursionError) or "depth" in str(error):
        return "it is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return _syntax_error(error.lineno, error.colno)
    return str(error)


def _syntax_error(line: object, column: object) -> str:
    return f"a syntax error in line {line}, column {column}"


def describe_errors(error: ValidationError, *, received: bool = True) -> str:
    """Describe the first errors of a `ValidationError`, separated by semicolons."""
    more = error.error_count() - MAX_ERRORS
    return "; ".join(
        [
            describe_error(each, received=received)
            for each in error.errors(include_url=False)[:MAX_ERRORS]
        ]
        + ([f"and {more} more"] if more > 0 else [])
    )


def location(steps: tuple[int | str, ...]) -> str:
    """Write the location of a value, such as `keys[0].id`; long keys are shortened."""
    return "".join(
        f"[{step}]" if isinstance(step, int) else f".{step[:MAX_KEY_CHARACTERS]}" for step in steps
    ).removeprefix(".")


def _expected(error: ErrorDetails, mapping: str) -> str | None:
    if error["type"] in _MAPPINGS:
        return f"{'an' if mapping[0] in 'aeiou' else 'a'} {mapping}"
    template = _EXPECTED.get(error["type"])
    if template is None:
        message = error["msg"]
        return message.removeprefix(_PREFIX) if message.startswith(_PREFIX) else None
    limits = error.get("ctx", {})
    if limits.get("pattern") in PATTERNS:
        return PATTERNS[limits["pattern"]]
    return template.format_map({key: _plain(value) for key, value in limits.items()})


def _plain(limit: object) -> object:
    """Write a limit that is a whole number without a fraction."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit
