"""One stack for the whole lane: built, started, and taken down whatever happens."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.deploy.lane.stack import SERVICES, Stack, stack_on
from tests.e2e.conftest import free_port


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    if not _docker_answers():
        pytest.skip("no docker engine answers; tests/deploy/lane/run starts one where it can")
    described = stack_on({service: free_port() for service in SERVICES})
    try:
        described.compose("build", "guard")
        described.up()
        yield described
    finally:
        described.compose("down", "--volumes", "--timeout", "10")


def _docker_answers() -> bool:
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False)
    except FileNotFoundError:
        return False
    return asked.returncode == 0
