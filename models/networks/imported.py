"""Build a user-defined network by its import string."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from torch import nn

from oodguard.models.errors import RecipeError
from oodguard.models.networks.classifier import Classifier

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_import_string(name: str) -> bool:
    """Return whether `name` has the form `package.module:factory`; nothing is imported."""
    return _REFERENCE.fullmatch(name) is not None


def build_imported(name: str, outputs: int, *, width: int | None) -> Classifier:
    """Import the factory `package.module:factory` and call it, which runs the user's code.

    The call is `factory(outputs)`, or `factory(outputs, width)` with a width. The current folder is
    searched after the installed packages. Errors that the user's code raises propagate.

    Raises:
        RecipeError: The factory cannot be imported or called, or does not return a `Classifier`.
    """
    arguments = (outputs,) if width is None else (outputs, width)
    with _current_folder_importable():
        network = _factory(name, arguments)(*arguments)
    if not isinstance(network, nn.Module):
        raise RecipeError(
            f"network.name: {name!r} returned {type(network).__name__}, expected a torch.nn.Module"
        )
    missing = [
        part
        for part, there in {
            "features(images) -> (n, D)": callable(getattr(network, "features", None)),
            "head, a torch.nn.Module (n, D) -> (n, outputs)": isinstance(
                getattr(network, "head", None), nn.Module
            ),
        }.items()
        if not there
    ]
    if missing:
        raise RecipeError(
            f"network.name: {name!r} returned {type(network).__name__} without"
            f" {' and '.join(missing)}"
        )
    return cast("Classifier", network)


def _factory(name: str, arguments: tuple[int, ...]) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RecipeError(
            f"network.name: {name!r} cannot be imported: {error}. The installed packages and"
            f" {Path.cwd()} were searched"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise RecipeError(
            f"network.name: {name!r}: {attribute!r} in {module.__file__} is"
            f" {'missing' if factory is None else type(factory).__name__}, expected a function"
        )
    try:
        inspect.signature(factory).bind(*arguments)
    except TypeError as error:
        call = "(outputs)" if len(arguments) == 1 else "(outputs, width)"
        raise RecipeError(
            f"network.name: {name!r} cannot be called as {attribute}{call}, as network.width is"
            f" {'not given' if len(arguments) == 1 else 'given'}: {error}"
        ) from error
    return cast("Callable[..., Any]", factory)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """Append the current folder to the path, so that it does not shadow installed packages."""
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
