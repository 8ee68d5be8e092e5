"""The compose files as they are written, and the variables that they ask for."""

import re
from collections.abc import Mapping, Sequence

from tests.deploy.rules import DOCKER, Yaml, read

ROOT = DOCKER.parent
MAIN = "docker-compose.yml"
FILES: Mapping[str, Yaml] = {file.name: read(file) for file in sorted(ROOT.glob("docker-compose*"))}

# ${NAME}, ${NAME:-default}, ${NAME:?error} and ${NAME:+instead}
ASKED = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?+])(?P<rest>[^}]*))?\}")
EXAMPLE = re.compile(r"^#(?P<name>[A-Z_]+)=(?P<value>.*)$", re.MULTILINE)


def services(name: str) -> Mapping[str, Yaml]:
    """The services of a file."""
    found: Mapping[str, Yaml] = FILES[name]["services"]
    return found


def asked_for(name: str) -> set[str]:
    """The variables that a file takes from the shell or from .env."""
    text = (ROOT / name).read_text(encoding="utf-8")
    passed = {
        variable
        for service in services(name).values()
        for variable, value in service.get("environment", {}).items()
        if value is None
    }
    return passed | {found["name"] for found in ASKED.finditer(text)}


def defaults(name: str) -> Mapping[str, str]:
    """The default of each variable that has one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {m["name"]: m["rest"] for m in ASKED.finditer(text) if m["kind"] == "-"}


def example() -> Mapping[str, str]:
    """The variables of .env.example, with the values that it shows."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return {found["name"]: found["value"] for found in EXAMPLE.finditer(text)}


def with_defaults(text: str) -> str:
    """A text where nothing is set."""

    def default(found: re.Match[str]) -> str:
        return found["rest"] if found["kind"] == "-" else ""

    return ASKED.sub(default, text)


def seconds(text: str) -> float:
    """A duration such as 40s or 1m30s, in seconds."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)([hms])", text))


def mounted(service: Yaml) -> Sequence[tuple[str, str, bool]]:
    """What a service has mounted: source, target, and whether it is read-only."""
    return [_mount(entry) for entry in service.get("volumes", [])]


def _mount(entry: str | Yaml) -> tuple[str, str, bool]:
    if isinstance(entry, str):
        source, target, *mode = with_defaults(entry).split(":")
        return source, target, mode == ["ro"]
    return with_defaults(entry["source"]), entry["target"], entry.get("read_only", False)
