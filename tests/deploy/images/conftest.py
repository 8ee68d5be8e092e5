"""The docker command, for tests that build an image to its end."""

import pytest

from tests.deploy.lane.docker import Docker, environment, need_docker


@pytest.fixture(scope="session")
def docker() -> Docker:
    need_docker()
    return Docker(environment=environment())
