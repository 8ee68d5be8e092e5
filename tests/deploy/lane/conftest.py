"""One stack for the whole lane: built, started, and taken down whatever happens."""

import shutil
from collections.abc import Iterator

import pytest

from tests.deploy.lane.docker import ROOT, need_docker
from tests.deploy.lane.stack import SERVICES, Stack, stack_on
from tests.e2e.conftest import free_port


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    need_docker()
    # A copy, as one of them is renewed.
    bundles = tmp_path_factory.mktemp("served") / "bundles"
    shutil.copytree(ROOT / "models" / "pretrained", bundles)
    described = stack_on({service: free_port() for service in SERVICES}, bundles)
    try:
        described.compose("build", "guard")
        described.up()
        yield described
    finally:
        described.compose("down", "--volumes", "--timeout", "10")
