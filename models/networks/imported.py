"""A network of the user's own, by import string."""

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
    """Say whether `name` reads `package.module:factory`; nothing is imported."""
    return _REFERENCE.fullmatch(name) is not None


def build_imported(name: str, outputs: int, *, width: int | None) -> Classifier:
    """Import the factory `package.module:factory` and call it: this runs the user's code.

    It is called as `factory(outputs)`, or `factory(outputs, width)` where a width is given. The
    current folder is searched after the installed packages. An error that the user's own code
    raises is not caught.

    Raises:
        RecipeError: it cannot be imported or called so, or what it returns is no `Classifier`.
    """
    arguments = (outputs,) if width is None else (outputs, width)
    with _current_folder_importable():
        network = _factory(name, arguments)(*arguments)
    if not isinstance(network, nn.Module):
        raise RecipeError(
            f"network.name: {name!r} returned {type(network).__name__}; a torch.nn.Module was"
            " wanted"
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
            f"network.name: {name!r} returned {type(network).__name__}, which lacks"
            f" {' and '.join(missing)}"
        )
    return cast("Classifier", network)


def _factory(name: str, arguments: tuple[int, ...]) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RecipeError(
            f"network.name: {name!r} cannot be imported: {error}; looked among the installed"
            f" packages and in {Path.cwd()}"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise RecipeError(
            f"network.name: {name!r}: a function {attribute!r} was wanted in {module.__file__};"
            f" came {'nothing of that name' if factory is None else type(factory).__name__}"
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
    """Search the current folder last, so that no file in it takes an installed package's place."""
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
