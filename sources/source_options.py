"""The way to set a key of a source in the command that runs: an option, or the recipe."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_options: ContextVar[frozenset[str]] = ContextVar("options", default=frozenset())


@contextmanager
def source_options(keys: Iterable[str]) -> Iterator[None]:
    """State that the command has options for these keys of a source, such as `skip_broken`."""
    token = _options.set(frozenset(keys))
    try:
        yield
    finally:
        _options.reset(token)


def way_to_set(key: str, value: str = "") -> str:
    """Return the option of the command for a key of a source, else the key of the recipe.

    Returns:
        For example `--skip-broken`, or `skip_broken = true in its table of the recipe`.
    """
    if key in _options.get():
        return f"--{key.replace('_', '-')}"
    return f"{key}{f' = {value}' if value else ''} in its table of the recipe"
