"""The running containers are confined, healthy and limited."""

import re

import pytest

from tests.deploy.compose.stack import IMAGE, SERVICES, Stack

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

MAX_IMAGE_BYTES = 490_000_000
"""Of them 43 MB are the eleven bundles."""


@pytest.mark.parametrize("service", SERVICES)
def test_container_is_confined_healthy_and_limited(stack: Stack, service: str) -> None:
    text = stack.run_in(service, "cat", "/proc/1/status").stdout
    status = dict(re.findall(r"^(\w+):\t(.*)$", text, re.MULTILINE))
    assert all(int(uid) > 0 for uid in status["Uid"].split())
    assert {status[kind] for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"

    for folder in ("/", "/etc", "/usr"):
        assert stack.run_in(service, "touch", f"{folder}/probe").returncode != 0

    container = stack.inspect_service(service)
    assert container["State"]["Health"]["Status"] == "healthy"
    host = container["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0


def test_bundles_are_read_only_and_state_is_writable(stack: Stack) -> None:
    assert "Read-only file system" in stack.run_in("guard", "touch", "/bundles/probe").stderr
    assert stack.run_in("guard", "touch", "/var/lib/oodguard/state/probe").returncode == 0
    assert stack.run_in("guard", "rm", "/var/lib/oodguard/state/probe").returncode == 0


def test_service_image_is_small_labelled_and_without_torch(stack: Stack) -> None:
    image = stack.inspect(IMAGE)
    assert image["Size"] <= MAX_IMAGE_BYTES
    assert image["Config"]["User"] == "10001:10001"
    labels = {name.removeprefix("org.opencontainers.image.") for name in image["Config"]["Labels"]}
    assert {"title", "description", "licenses", "version", "revision"} <= labels
    assert "No module named 'torch'" in stack.run_in("guard", "python", "-c", "import torch").stderr


def test_guard_serves_the_documentation_of_its_image(stack: Stack) -> None:
    code = (
        "from urllib.request import urlopen;"
        " print(urlopen('http://127.0.0.1:8000/guide/settings.html', timeout=20).read().decode())"
    )
    assert "OODGUARD_GUIDE" in stack.run_in("guard", "python", "-c", code).stdout


def test_onnx_runtime_sends_no_telemetry(stack: Stack) -> None:
    # With telemetry it fails to store a machine id in its home folder, and logs the failure.
    assert "telemetry" not in stack.compose("logs", "guard")
