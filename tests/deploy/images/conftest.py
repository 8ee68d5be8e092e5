import pytest

from tests.deploy.compose.docker import Docker, environment, need_docker


@pytest.fixture(scope="session")
def docker() -> Docker:
    need_docker()
    return Docker(environment=environment())
