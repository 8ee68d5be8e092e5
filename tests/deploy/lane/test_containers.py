"""The containers as they run: confined, healthy, within limits; and what is in the guard's."""

import json
import re

import pytest

from tests.deploy.lane.stack import IMAGE, SERVICES, Stack

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

MOST_BYTES = 450_000_000
EVERY_SERVICE = pytest.mark.parametrize("service", SERVICES)


@EVERY_SERVICE
def test_the_first_process_is_nobodys_root_and_has_no_capability(
    stack: Stack, service: str
) -> None:
    text = stack.run_in(service, "cat", "/proc/1/status").stdout
    told = dict(re.findall(r"^(\w+):\t(.*)$", text, re.MULTILINE))
    assert all(int(uid) > 0 for uid in told["Uid"].split())
    assert {told[kind] for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd")} == {"0" * 16}
    assert told["NoNewPrivs"] == "1"


@EVERY_SERVICE
def test_nothing_can_be_written_beside_the_volumes(stack: Stack, service: str) -> None:
    for folder in ("/", "/etc", "/usr"):
        refused = stack.run_in(service, "touch", f"{folder}/probe")
        assert refused.returncode != 0
    assert stack.inspect(service)["HostConfig"]["ReadonlyRootfs"] is True


@EVERY_SERVICE
def test_a_container_is_healthy_and_bounded(stack: Stack, service: str) -> None:
    told = stack.inspect(service)
    assert told["State"]["Health"]["Status"] == "healthy"
    assert told["HostConfig"]["Memory"] > 0
    assert told["HostConfig"]["NanoCpus"] > 0
    assert told["HostConfig"]["PidsLimit"] > 0


def test_bundles_cannot_be_written_and_state_can(stack: Stack) -> None:
    assert "Read-only file system" in stack.run_in("guard", "touch", "/bundles/probe").stderr
    assert stack.run_in("guard", "touch", "/var/lib/oodguard/state/probe").returncode == 0
    assert stack.run_in("guard", "rm", "/var/lib/oodguard/state/probe").returncode == 0


def test_the_image_is_small_labelled_and_without_torch(stack: Stack) -> None:
    (told,) = json.loads(stack.docker("image", "inspect", IMAGE))
    assert told["Size"] <= MOST_BYTES
    assert told["Config"]["User"] == "10001:10001"
    labels = {name.removeprefix("org.opencontainers.image.") for name in told["Config"]["Labels"]}
    assert {"title", "description", "licenses", "version", "revision"} <= labels
    assert "No module named 'torch'" in stack.run_in("guard", "python", "-c", "import torch").stderr


def test_onnx_runtime_does_not_call_its_makers(stack: Stack) -> None:
    # Where it may, it fails to keep a number for this machine in its user's folder, and says so.
    assert "telemetry" not in stack.compose("logs", "guard")
