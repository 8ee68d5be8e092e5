"""The compose project, built and running on a Docker engine."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.compose.docker import Docker, environment

FOLDER = Path(__file__).parent
PROJECT = "ood-guard-test"
IMAGE = "ood-guard:0.1.0-cpu"
SERVICES = ("guard", "prometheus", "alertmanager", "grafana")
BUNDLE = "cifar10-aloe"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack(Docker):
    """A running compose project and the URLs of its services.

    `bundles` is the folder on this machine that is mounted into the guard.
    """

    guard: str
    prometheus: str
    alertmanager: str
    bundles: Path

    def compose(self, *arguments: str, extra: Sequence[str] = ()) -> str:
        """Run `docker compose` on the project, require success and return its output.

        `extra` names further files of this folder.
        """
        files = ["docker-compose.yml", FOLDER / "ports.yml", *(FOLDER / each for each in extra)]
        if not self.is_ordinary:
            files.append(FOLDER / "engine.yml")
        flags = [flag for file in files for flag in ("--file", str(file))]
        # Without a .env file, so that only the repository's files count.
        return self.docker(
            "compose", "--project-name", PROJECT, "--env-file", os.devnull, *flags, *arguments
        )

    def up(self) -> None:
        """Start all services that are not running, and wait until all are healthy."""
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180")

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        return self.compose("ps", "--all", "--quiet", service).strip()

    def inspect_service(self, service: str) -> dict[str, Any]:
        """Return the engine's description of a service's container."""
        return self.inspect(self.container(service))

    def run_in(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's container, as the user of the container."""
        return self.attempt("exec", self.container(service), *command)

    def reload(self) -> None:
        """Reload the bundles by the command in docs/deploy.md."""
        self.compose("exec", "--no-TTY", "guard", "sh", "-c", "kill -HUP 1")

    def replace_bundle(self, *, version: str) -> None:
        """Replace the bundle by a copy with another version, and reload."""
        served, copy = self.bundles / BUNDLE, self.bundles / f".{BUNDLE}"
        shutil.copytree(served, copy)
        manifest = copy / "manifest.json"
        content = json.loads(manifest.read_text(encoding="utf-8"))
        manifest.write_text(json.dumps({**content, "version": version}), encoding="utf-8")
        shutil.rmtree(served)
        copy.rename(served)
        self.reload()


def describe_stack(ports: Mapping[str, int], bundles: Path) -> Stack:
    """Describe a project with these bundles, published at these ports of the loopback address."""
    cpus = Docker(environment=environment()).cpus
    return Stack(
        environment=environment(
            GUARD_PORT=str(ports["guard"]),
            GUARD_CPUS=str(min(2, cpus)),
            GUARD_BUNDLES=str(bundles),
            GRAFANA_PORT=str(ports["grafana"]),
            TEST_PROMETHEUS_PORT=str(ports["prometheus"]),
            TEST_ALERTMANAGER_PORT=str(ports["alertmanager"]),
        ),
        guard=f"http://127.0.0.1:{ports['guard']}",
        prometheus=f"http://127.0.0.1:{ports['prometheus']}",
        alertmanager=f"http://127.0.0.1:{ports['alertmanager']}",
        bundles=bundles,
    )
