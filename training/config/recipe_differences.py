"""The keys that differ between the texts of two recipes, for the error of a run that is resumed."""

from collections.abc import Mapping
from reprlib import Repr

from oodguard.training.config.recipe_sources import recipe_tables

MAX_KEYS = 3
"""The number of keys in the error about another recipe."""

_values = Repr()
_values.maxstring = 80  # characters; enough for most paths, which often differ in the middle
_values.maxlist = 1000  # a list of classes is written whole


def describe_differences(given: str, recorded: str, *, origin: str) -> str:
    """Describe the keys that differ between the texts of two recipes, with both values.

    `origin` is the file of the recorded one.

    Raises:
        RecipeError: A text is not TOML.
    """
    received = _keys(recipe_tables(given, origin="the given recipe"))
    expected = _keys(recipe_tables(recorded, origin=origin))
    # As texts, because 1, 1.0 and true are equal in Python and different in a recipe.
    different = [
        f"{key} is {_written(received, key)} (recorded: {_written(expected, key)})"
        for key in expected | received
        if repr(received.get(key)) != repr(expected.get(key))
    ]
    if not different:
        return "its text differs (comments or layout), but no key"
    more = len(different) - MAX_KEYS
    return "; ".join(different[:MAX_KEYS] + ([f"and {more} more"] if more > 0 else []))


def _keys(tables: Mapping[str, object], table: str = "") -> dict[str, object]:
    """Return the values of all keys, such as that of `schedule.epochs`."""
    found: dict[str, object] = {}
    for key, value in tables.items():
        if isinstance(value, dict):
            found |= _keys(value, f"{table}{key}.")
        else:
            found[f"{table}{key}"] = value
    return found


def _written(keys: Mapping[str, object], key: str) -> str:
    """Return the value of a key, shortened."""
    if key not in keys:
        return "not set"
    value = keys[key]
    return str(value).lower() if isinstance(value, bool) else _values.repr(value)
