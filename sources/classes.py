"""Names of classes: their order, how a recipe selects them, and how two data sets agree on them.

A class is found by its name. Names that are all whole numbers, as of folders `0` to `11` or `000`
to `011`, are numbers: they are ordered and compared as numbers.
"""

from collections.abc import Collection, Sequence

from oodguard.models.errors import RecipeError
from oodguard.sources.source import ClassKey

NAMED = 5
"""The number of classes that an error names."""

NAMED_PAIRS = 50
"""The number of pairs of a number and a class that a message names."""

MAX_DIGITS = 4000
"""The number of digits that `int` reads in any case."""


def are_numbers(names: Collection[str]) -> bool:
    """Return whether the names are whole numbers in decimal digits, each a different number."""
    numbers = {_number(name) for name in names if _is_number(name)}
    return len(numbers) == len(names) > 0


def in_order(names: Collection[str]) -> tuple[str, ...]:
    """Return the names sorted, as numbers if all of them are whole numbers."""
    return tuple(sorted(names, key=_number if are_numbers(names) else None))


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _number(name: str) -> tuple[int, str]:
    """Return a value that orders digits as numbers; `int` does not read all of them."""
    digits = name.lstrip("0")
    return len(digits), digits


def select_classes(
    classes: Sequence[str],
    *,
    only: Sequence[ClassKey],
    leave_out: Sequence[ClassKey],
    location: str,
) -> list[int]:
    """Return the indices of the classes that a source selects, ascending.

    Raises:
        RecipeError: A key is neither a name nor a number nor an index of a class, or is the number
            of several classes.
    """
    option, keys = ("only", only) if only else ("leave_out", leave_out)
    try:
        found = {key: _index(classes, key) for key in keys}
    except RecipeError as error:
        raise RecipeError(f"{location}: {option}: {error}") from error
    unknown = [key for key, index in found.items() if index is None]
    if unknown:
        expected = "names or numbers" if are_numbers(classes) else "names or indices"
        raise RecipeError(
            f"{location}: {option} contains {unknown}, expected {expected} of the classes"
            f" {list(classes)}"
        )
    chosen = set(found.values())
    return [index for index in range(len(classes)) if (index in chosen) == bool(only)]


def _index(classes: Sequence[str], key: ClassKey) -> int | None:
    if isinstance(key, str) and key in classes:
        return list(classes).index(key)
    if _is_number(str(key)):
        number = _number(str(key))
        same = [
            at for at, name in enumerate(classes) if _is_number(name) and _number(name) == number
        ]
        if len(same) > 1:
            raise RecipeError(
                f"the number {key} is that of the classes {_first([classes[at] for at in same])},"
                " expected that of one class. Give the name, or rename the classes"
            )
        if str(key) in classes or (same and all(map(_is_number, classes))):
            return same[0]
    if all(map(_is_number, classes)):
        return None
    return key if isinstance(key, int) and 0 <= key < len(classes) else None


def match_classes(known: Sequence[str], found: Sequence[str], *, name: str) -> list[int]:
    """Return the position in `known` of each class that was found in the data set `name`.

    Numbers in place of names are positions, or equal numbers where the known names are numbers.

    Raises:
        RecipeError: A class is not known.
    """
    keys: Sequence[ClassKey] = found
    if not set(found) <= set(known) and are_numbers(found):
        keys = [int(each) if len(each) <= MAX_DIGITS else each for each in found]
    positions = [_index(known, key) for key in keys]
    unknown = [each for each, at in zip(found, positions, strict=True) if at is None]
    if unknown:
        raise RecipeError(
            f"{name}: unknown classes {_first(unknown)}, expected those of the classifier:"
            f" {_first(known)}"
        )
    return [at for at in positions if at is not None]


def describe_positions(known: Sequence[str], found: Sequence[str], *, name: str) -> str | None:
    """Describe which class each number of the data set `name` means; None if names are equal.

    `match_classes` accepts `found`. Numbers are positions, so that 2 may be the class `sign-10` of
    names that are sorted as text.
    """
    if set(found) <= set(known) or are_numbers(known):
        return None
    at = match_classes(known, found, name=name)
    pairs = [f"{each} is {known[position]}" for each, position in zip(found, at, strict=True)]
    return (
        f"{name}: its classes are numbers and mean positions in the names of the classifier:"
        f" {', '.join(pairs[:NAMED_PAIRS])}{', ...' if len(pairs) > NAMED_PAIRS else ''}. If one of"
        " them is another class, rename the folders or labels to the names"
    )


def match_all_classes(known: Sequence[str], found: Sequence[str], *, name: str) -> list[int]:
    """Return the positions as `match_classes`, for data that have images of every known class.

    Raises:
        RecipeError: A class is not known, or is missing.
    """
    positions = match_classes(known, found, name=name)
    missing = [each for index, each in enumerate(known) if index not in positions]
    if missing:
        raise RecipeError(
            f"{name}: no image of the classes {_first(missing)}, expected all classes"
        )
    return positions


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
