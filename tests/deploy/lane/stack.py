"""The project's own compose file, built and running on whatever engine docker reaches."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.lane.docker import LANE, Docker, environment
from tests.deploy.lane.waiting import wait_for

PROJECT = "ood-guard-lane"
IMAGE = "ood-guard:0.1.0-cpu"
SERVICES = ("guard", "prometheus", "alertmanager", "grafana")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack(Docker):
    """Where each service of a running compose project is reached from here.

    `bundles` is the folder on this machine that the guard has mounted.
    """

    guard: str
    prometheus: str
    alertmanager: str
    bundles: Path

    def compose(self, *arguments: str) -> str:
        """Run `docker compose` on the project and return what it says; it must not fail."""
        files = ["docker-compose.yml", LANE / "lane.yml"]
        if not self.is_ordinary:
            files.append(LANE / "engine.yml")
        flags = [flag for file in files for flag in ("--file", str(file))]
        # Nobody's .env: what is shown is what the repository holds.
        return self.docker(
            "compose", "--project-name", PROJECT, "--env-file", os.devnull, *flags, *arguments
        )

    def up(self) -> None:
        """Start what is not running, and wait until all of it is healthy."""
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180")

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's container."""
        return self.inspected(self.compose("ps", "--all", "--quiet", service).strip())

    def run_in(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's container, as its own user."""
        return self.attempt("exec", str(self.inspect(service)["Id"]), *command)

    def wait_until_healthy(self, service: str) -> None:
        """Return once a service's container is healthy."""
        wait_for(
            lambda: self.inspect(service)["State"]["Health"]["Status"] == "healthy",
            f"{service} to be healthy",
            within_s=60,
        )


def stack_on(ports: Mapping[str, int], bundles: Path) -> Stack:
    """Describe a project with these bundles, published at these ports of the loopback address."""
    processors = Docker(environment=environment()).processors
    return Stack(
        environment=environment(
            GUARD_PORT=str(ports["guard"]),
            GUARD_CPUS=str(min(2, processors)),
            GUARD_BUNDLES=str(bundles),
            GRAFANA_PORT=str(ports["grafana"]),
            LANE_PROMETHEUS_PORT=str(ports["prometheus"]),
            LANE_ALERTMANAGER_PORT=str(ports["alertmanager"]),
        ),
        guard=f"http://127.0.0.1:{ports['guard']}",
        prometheus=f"http://127.0.0.1:{ports['prometheus']}",
        alertmanager=f"http://127.0.0.1:{ports['alertmanager']}",
        bundles=bundles,
    )
