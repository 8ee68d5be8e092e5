"""Check a command of the documentation without running it: what it names exists."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import click
import typer
from fastapi import APIRouter
from fastapi.routing import APIRoute

from oodguard.service.api import operations, predict
from oodguard.service.api.guide import guide_router
from oodguard.service.cli import app as service_app
from oodguard.service.open_inference import routes as open_inference
from oodguard.service.settings import describe
from oodguard.training.cli.app import app as training_app

ROOT = Path(__file__).parents[2]

_FOLDER = r"(?:benchmarks|deploy|docker|docs|examples|guide|models|recipes|tests)/"
_PATH = re.compile(rf"(?:^|[@=]){_FOLDER}[\w./*-]*$")
_URL = re.compile(r"(?:https?://)?(?:localhost|127\.0\.0\.1):(?P<port>\d+)(?P<path>/[^?\s]*)?$")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
_EXTRA = re.compile(r"\[([a-z0-9,]+)\]$")

# Standard programs, whose options are not ours.
_STANDARD = frozenset({"cat", "cd", "cp", "git", "head", "ls", "mkdir", "printf", "tar"})


def faults(words: Sequence[str], mark: str = "") -> Iterator[str]:
    """Yield what a command names and does not exist.

    Args:
        words: The words of the command, beginning with assignments of variables.
        mark: The mark of the block. A command that cannot be checked is a fault without one.
    """
    words = list(words)
    while words and re.match(r"^[A-Z_]+=", words[0]):
        name = words.pop(0).partition("=")[0]
        if name.startswith("OODGUARD_") and name not in {row[0] for row in describe()}:
            yield f"{name} is no setting"
    if not words:
        return
    for word in words:
        path = _PATH.search(word)
        if path and not list(ROOT.glob(path[0].lstrip("@=").rstrip("/"))):
            yield f"{path[0].lstrip('@=')} does not exist"
    name = words[0].rpartition("/")[2]
    if name in _CHECKS:
        yield from _CHECKS[name](words[1:])
    if name in _CHECKS and name != "docker":
        return
    if not mark and name not in _STANDARD and not (ROOT / words[0]).is_file():
        yield f"{name} is not run: put <!-- not run: REASON --> before the block"


def _typer(program: str, app: typer.Typer) -> Callable[[Sequence[str]], Iterator[str]]:
    def check(words: Sequence[str]) -> Iterator[str]:
        command = typer.main.get_command(app)
        context = click.Context(cast("click.Command", command))
        rest = list(words)
        while isinstance(command, click.Group | typer.core.TyperGroup) and rest:
            if rest[0].startswith("-"):
                break
            name = rest.pop(0)
            found = command.get_command(context, name)  # type: ignore[arg-type]
            if found is None:
                yield f"{program} has no command {name}"
                return
            command = found
        known = {each for option in command.params for each in option.opts}
        known |= {each for option in command.params for each in option.secondary_opts} | {"--help"}
        for word in rest:
            option = word.partition("=")[0].rstrip(",.")
            if re.match(r"^--?[a-z]", option) and option not in known:
                yield f"{command.name} has no option {option}"

    return check


def _make(words: Sequence[str]) -> Iterator[str]:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    for word in words:
        if "=" not in word and not word.startswith("-") and word not in targets:
            yield f"the Makefile has no target {word}"


def _python(words: Sequence[str]) -> Iterator[str]:
    if words[:2] == ["-m", "oodguard.training"]:
        yield from _CHECKS["oodguard-train"](words[2:])
    elif words and words[0] == "-m":
        module = words[1].replace(".", "/")
        candidates = [ROOT / f"{module}.py", ROOT / module / "__main__.py"]
        if words[1].startswith("oodguard"):
            candidates = [ROOT / "src" / f"{module}.py", ROOT / "src" / module / "__main__.py"]
        if words[1] not in {"pip", "venv"} and not any(file.exists() for file in candidates):
            yield f"{words[1]} is no module that can be run"


def _torchrun(words: Sequence[str]) -> Iterator[str]:
    if "-m" in words:
        yield from _python(words[words.index("-m") :])


def _docker(words: Sequence[str]) -> Iterator[str]:
    for before, word in pairwise(words):
        if before in {"-f", "--file"} and not (ROOT / word).is_file():
            yield f"{word} does not exist"


@cache
def routes() -> tuple[APIRoute, ...]:
    """Return the routes of a service with everything enabled."""
    none: Any = None
    routers: list[APIRouter] = [
        operations.admin_router(none, none),
        operations.docs_router(none),
        operations.health_router(none),
        operations.metrics_router(none),
        operations.models_router(none),
        predict.predict_router(none),
        open_inference.router(none, none, none, version="", detail="full"),
        guide_router(ROOT),
    ]
    return tuple(each for router in routers for each in router.routes if isinstance(each, APIRoute))


def _curl(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        url = _URL.match(word)
        # Other ports are those of other services.
        if url and url["port"] == "8000" and url["path"]:
            path = url["path"]
            if not any(route.path_regex.match(path) for route in routes()):
                yield f"the service has no route {path}"


def _pip(words: Sequence[str]) -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in words:
        extras = _EXTRA.search(word)
        own = word.startswith((".[", "ood-guard["))
        for extra in extras[1].split(",") if extras and own else ():
            if extra not in project["optional-dependencies"]:
                yield f"there is no extra {extra}"


def _any(_words: Sequence[str]) -> Iterator[str]:
    yield from ()


_CHECKS: Mapping[str, Callable[[Sequence[str]], Iterator[str]]] = {
    "oodguard": _typer("oodguard", service_app),
    "oodguard-train": _typer("oodguard-train", training_app),
    "make": _make,
    "python": _python,
    "python3": _python,
    "torchrun": _torchrun,
    "docker": _docker,
    "curl": _curl,
    "pip": _pip,
    "pytest": _any,
}
