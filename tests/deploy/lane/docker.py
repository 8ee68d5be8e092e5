"""The docker command, on whatever engine it reaches."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LANE = Path(__file__).parent
OURS = (
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
    """The docker command, with the environment that it runs in."""

    environment: Mapping[str, str]

    @property
    def is_ordinary(self) -> bool:
        """Whether the engine is one as it comes; tests/deploy/lane/run says so where it is not."""
        return "LANE_ENGINE" not in self.environment

    @property
    def processors(self) -> int:
        """How many the engine has, which need not be those of this process."""
        return int(self.docker("info", "--format", "{{.NCPU}}"))

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
            timeout=1800,
            check=False,
        )

    def build(self, dockerfile: str, image: str, *arguments: str) -> None:
        """Build an image as the head of its Dockerfile says."""
        network = [] if self.is_ordinary else ["--network", "host"]
        self.docker("build", *network, "--file", dockerfile, *arguments, "--tag", image, ".")

    def inspected(self, name: str) -> dict[str, Any]:
        """What the engine says of a container or an image."""
        (told,) = json.loads(self.docker("inspect", name))
        return dict(told)


def environment(**wanted: str) -> Mapping[str, str]:
    """What is set here, but for what sets our services, and what is wanted of them."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
    return {**inherited, "DOCKER_BUILDKIT": "1", **wanted}


def need_docker() -> None:
    """Skip where no engine answers."""
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("there is no docker command")
    if asked.returncode != 0:
        pytest.skip("no docker engine answers; tests/deploy/lane/run starts one where it can")
