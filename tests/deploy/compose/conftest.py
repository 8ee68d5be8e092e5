"""One running compose project for all tests, built, started, and always removed."""

import shutil
from collections.abc import Iterator

import pytest

from benchmarks.serving.processes import free_port
from tests.deploy.compose.docker import ROOT, need_docker
from tests.deploy.compose.stack import SERVICES, Stack, describe_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    need_docker()
    # A copy, because a test replaces a bundle.
    bundles = tmp_path_factory.mktemp("served") / "bundles"
    shutil.copytree(ROOT / "models" / "pretrained", bundles)
    described = describe_stack({service: free_port() for service in SERVICES}, bundles)
    try:
        described.compose("build", "guard")
        described.up()
        yield described
    finally:
        described.compose("down", "--volumes", "--timeout", "10")
