"""Run the docker command, on the engine that it is configured for."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
OWN_PREFIXES = (
    "OODGUARD_",
    "GUARD_",
    "GRAFANA_",
    "PROMETHEUS_",
    "ALERTMANAGER_",
    "METRICS_",
    "TRAIN_",
    "COMPOSE_",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Docker:
    """The docker command and its environment."""

    environment: Mapping[str, str]

    @property
    def is_ordinary(self) -> bool:
        """Whether the engine is an ordinary one; tests/deploy/compose/run sets the variable."""
        return "TEST_ENGINE" not in self.environment

    @property
    def cpus(self) -> int:
        """Number of CPUs of the engine, which can differ from those of this process."""
        return int(self.docker("info", "--format", "{{.NCPU}}"))

    def docker(self, *arguments: str, stdin: str | None = None) -> str:
        """Run `docker`, require success and return its output."""
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def attempt(
        self, *arguments: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker`; it may fail."""
        return subprocess.run(
            ["docker", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )

    def build(self, dockerfile: str, image: str, *arguments: str) -> None:
        """Build an image by the command in the head of its Dockerfile."""
        network = [] if self.is_ordinary else ["--network", "host"]
        self.docker("build", *network, "--file", dockerfile, *arguments, "--tag", image, ".")

    def inspect(self, name: str) -> dict[str, Any]:
        """Return the engine's description of a container or an image."""
        (description,) = json.loads(self.docker("inspect", name))
        return dict(description)

    def wait_until_healthy(self, container: str, *, within_s: float = 60) -> None:
        """Return when a container is healthy."""
        wait_for(
            lambda: self.inspect(container)["State"]["Health"]["Status"] == "healthy",
            f"{container} to be healthy",
            within_s=within_s,
        )


def environment(**variables: str) -> Mapping[str, str]:
    """Return this environment without variables of the project, and with those given."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(OWN_PREFIXES)}
    return {**inherited, "DOCKER_BUILDKIT": "1", **variables}


def need_docker() -> None:
    """Skip the test if there is no engine."""
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("there is no docker command")
    if done.returncode != 0:
        pytest.skip("no docker engine is running; tests/deploy/compose/run starts one if it can")


def wait_for(condition: Callable[[], object], what: str, *, within_s: float) -> float:
    """Return the seconds until the condition was true; fail after `within_s`."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > within_s:
            pytest.fail(f"waited {within_s:.0f} s for {what}")
        time.sleep(1.0)
    return time.monotonic() - start
