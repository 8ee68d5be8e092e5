"""Build a user-defined network: the factory of a module or of a Python file."""

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from torch import nn

from oodguard.models.errors import RecipeError
from oodguard.models.networks.classifier import Classifier

_REFERENCE = re.compile(r"([A-Za-z_]\w*(\.[A-Za-z_]\w*)*|.+\.py):[A-Za-z_]\w*", re.DOTALL)


_LIBRARY = re.compile(r"[/\\](site-packages|dist-packages|oodguard)[/\\]")
"""The path of an installed package, or of this project."""


def is_import_string(name: str) -> bool:
    """Return whether `name` is `package.module:factory` or `path/to/file.py:factory`.

    Nothing is imported.
    """
    return _REFERENCE.fullmatch(name) is not None


def build_imported(name: str, outputs: int, *, width: int | None) -> Classifier:
    """Import the factory and call it, which runs the user's code.

    The call is `factory(outputs)`, or `factory(outputs, width)` with a width. Modules are searched
    in the installed packages, then in the current folder; the path of a file is relative to the
    current folder, and the file may import its neighbours.

    Raises:
        RecipeError: The factory cannot be imported or called, raises an exception, or does not
            return a `Classifier`.
    """
    arguments = (outputs,) if width is None else (outputs, width)
    module_name, _, _ = name.rpartition(":")
    is_file = module_name.endswith(".py")
    with _importable(Path(module_name).parent if is_file else Path()):
        factory = _factory(name, arguments)
        try:
            network = factory(*arguments)
        except (Exception, SystemExit) as error:
            raise RecipeError(
                f"network.name: {name!r} raised {describe_exception(error)}"
            ) from error
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


def describe_exception(error: BaseException) -> str:
    """Return the type, the first line, and the place in the user's code of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _LIBRARY.search(frame.filename)]
    frame = (own or frames)[-1]
    text = f"{type(error).__name__}: {error}".strip().partition("\n")[0].rstrip(": ")
    return f"{text} ({Path(frame.filename).name}, line {frame.lineno})"


def _factory(name: str, arguments: tuple[int, ...]) -> Callable[..., Any]:
    module_name, _, attribute = name.rpartition(":")
    if module_name.endswith(".py"):
        module = _run_file(Path(module_name), name)
    else:
        module = _import_module(module_name, name)
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


def _import_module(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RecipeError(
            f"network.name: {name!r} cannot be imported: {error}. The installed packages and"
            f" {Path.cwd()} were searched"
        ) from error
    except (Exception, SystemExit) as error:
        raise RecipeError(
            f"network.name: {name!r} cannot be imported: it raised {describe_exception(error)}"
        ) from error


def _run_file(path: Path, name: str) -> ModuleType:
    """Run a Python file as a module; its name is unique, so that it replaces no other module."""
    if not path.is_file():
        raise RecipeError(f"network.name: {name!r}: {path.resolve()} is not a file")
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    spec = importlib.util.spec_from_file_location(f"oodguard_network_{digest[:12]}", path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"network.name: {name!r}: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses find their module there
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise RecipeError(f"network.name: {name!r} cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:
        raise RecipeError(
            f"network.name: {name!r} cannot be imported: it raised {describe_exception(error)}"
        ) from error
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Append a folder to the path, so that it does not shadow installed packages."""
    here = str(folder.resolve())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
