"""The compose files as written, and the variables that they use."""

import re
from collections.abc import Mapping, Sequence

from tests.deploy.rules import DOCKER, Yaml, read

ROOT = DOCKER.parent
MAIN = "docker-compose.yml"
FILES: Mapping[str, Yaml] = {file.name: read(file) for file in sorted(ROOT.glob("docker-compose*"))}

# ${NAME}, ${NAME:-default}, ${NAME:?error} and ${NAME:+alternative}
REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?+])(?P<rest>[^}]*))?\}")
EXAMPLE = re.compile(r"^#(?P<name>[A-Z_]+)=(?P<value>.*)$", re.MULTILINE)


def services(name: str) -> Mapping[str, Yaml]:
    """Return the services of a file."""
    found: Mapping[str, Yaml] = FILES[name]["services"]
    return found


def used_variables(name: str) -> set[str]:
    """Return the variables that a file takes from the shell or from .env."""
    text = (ROOT / name).read_text(encoding="utf-8")
    passed = {
        variable
        for service in services(name).values()
        for variable, value in service.get("environment", {}).items()
        if value is None
    }
    return passed | {found["name"] for found in REFERENCE.finditer(text)}


def defaults(name: str) -> Mapping[str, str]:
    """Return the default of each variable that has one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {m["name"]: m["rest"] for m in REFERENCE.finditer(text) if m["kind"] == "-"}


def example() -> Mapping[str, str]:
    """Return the variables of .env.example with their values."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return {found["name"]: found["value"] for found in EXAMPLE.finditer(text)}


def with_defaults(text: str) -> str:
    """Return a text in which no variable is set."""

    def default(found: re.Match[str]) -> str:
        return found["rest"] if found["kind"] == "-" else ""

    return REFERENCE.sub(default, text)


def mounts(service: Yaml) -> Sequence[tuple[str, str, bool]]:
    """Return source, target and read-only flag of each mount."""
    return [_mount(entry) for entry in service.get("volumes", [])]


def _mount(entry: str | Yaml) -> tuple[str, str, bool]:
    if isinstance(entry, str):
        source, target, *mode = with_defaults(entry).split(":")
        return source, target, mode == ["ro"]
    return with_defaults(entry["source"]), entry["target"], entry.get("read_only", False)
