"""The project's own compose file, built and running on whatever engine docker reaches."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.lane.waiting import wait_for

ROOT = Path(__file__).parents[3]
LANE = Path(__file__).parent
PROJECT = "ood-guard-lane"
SERVICES = ("guard", "prometheus", "alertmanager", "grafana")
OURS = ("OODGUARD_", "GUARD_", "GRAFANA_", "PROMETHEUS_", "ALERTMANAGER_", "METRICS_", "COMPOSE_")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """Where each service of a running compose project is reached from here."""

    environment: Mapping[str, str]
    guard: str
    prometheus: str
    alertmanager: str

    def compose(self, *arguments: str) -> str:
        """Run `docker compose` on the project and return what it says; it must not fail."""
        files = ["docker-compose.yml", LANE / "lane.yml"]
        # Set by tests/deploy/lane/run where the engine is not an ordinary one.
        if "LANE_ENGINE" in self.environment:
            files.append(LANE / "engine.yml")
        flags = [flag for file in files for flag in ("--file", str(file))]
        # Nobody's .env: what is shown is what the repository holds.
        return self.docker(
            "compose", "--project-name", PROJECT, "--env-file", os.devnull, *flags, *arguments
        )

    def docker(self, *arguments: str, stdin: str | None = None) -> str:
        """Run `docker` and return what it prints; it must not fail."""
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def attempt(
        self, *arguments: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker`, whether or not it fails."""
        return subprocess.run(
            ["docker", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def up(self) -> None:
        """Start what is not running, and wait until all of it is healthy."""
        self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180")

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's container."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        (told,) = json.loads(self.docker("inspect", container))
        return dict(told)

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


def stack_on(ports: Mapping[str, int]) -> Stack:
    """Describe a project that is published at these ports of the loopback address."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
    wanted = {
        "GUARD_PORT": str(ports["guard"]),
        "GUARD_CPUS": str(min(2, os.cpu_count() or 1)),
        "GRAFANA_PORT": str(ports["grafana"]),
        "LANE_PROMETHEUS_PORT": str(ports["prometheus"]),
        "LANE_ALERTMANAGER_PORT": str(ports["alertmanager"]),
    }
    return Stack(
        environment={**inherited, **wanted},
        guard=f"http://127.0.0.1:{ports['guard']}",
        prometheus=f"http://127.0.0.1:{ports['prometheus']}",
        alertmanager=f"http://127.0.0.1:{ports['alertmanager']}",
    )
