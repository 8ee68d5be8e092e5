import inspect
import re

from oodguard.models import errors


def tree_in_the_docstring() -> dict[str, str]:
    """Return the parent of each error, as drawn."""
    found: dict[str, str] = {}
    above = ["GuardError"]
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        match = re.match(r"^((?:\|  )*)[|`]- (\w+)", line)
        if match:
            depth = len(match[1]) // 3 + 1
            above[depth:] = [match[2]]
            found[match[2]] = above[depth - 1]
    return found


def test_error_tree_in_the_docstring_matches_the_classes() -> None:
    classes = {
        name: each.__mro__[1].__name__
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if each is not errors.GuardError
    }
    assert tree_in_the_docstring() == classes
