"""The training image, built to its end: it fits, measures, exports, and is stopped in between."""

import re
from collections.abc import Iterator

import pytest

from oodguard.models.bundle import open_bundle
from tests.deploy.images.training import RECIPE, Training, training_in
from tests.deploy.lane.docker import Docker
from tests.deploy.lane.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

IMAGE = "ood-guard:0.1.0-training"
# By which a shell tells that a process was ended by SIGTERM; SIGKILL would be 137.
ENDED_BY_SIGTERM = 128 + 15


@pytest.fixture(scope="module")
def training(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Training:
    docker.build("docker/training.Dockerfile", IMAGE)
    return training_in(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def smoke(training: Training) -> str:
    """The name of a run that was made without an interruption."""
    training.run("fit", RECIPE, "--out", "runs/smoke")
    return "smoke"


@pytest.fixture
def stopped(training: Training) -> Iterator[str]:
    """The name of a run that `docker stop` ended after some epochs."""
    name = "stopped"
    flags = ("--detach",)
    container = training.run("fit", RECIPE, "--out", f"runs/{name}", flags=flags).strip()
    try:
        wait_for(lambda: len(training.epochs(name)) >= 2, "a checkpoint", within_s=120)
        training.docker("stop", container)
        assert training.inspected(container)["State"]["ExitCode"] == ENDED_BY_SIGTERM
        yield name
    finally:
        training.docker("rm", "--force", container)


def test_training_is_nobodys_root_without_capabilities_and_writes_runs_alone(
    training: Training,
) -> None:
    look = (
        "cat /proc/self/status; for each in / /etc /oodguard /oodguard/data /oodguard/recipes"
        " /oodguard/runs /tmp; do touch $each/probe 2>&1 && echo wrote $each; done; true"
    )
    told = training.run("-c", look, flags=("--rm", "--entrypoint", "sh"))
    status = dict(re.findall(r"^(\w+):\t(.*)$", told, re.MULTILINE))
    assert all(int(uid) > 0 for uid in status["Uid"].split())
    assert {status[kind] for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert re.findall(r"^wrote (.*)$", told, re.MULTILINE) == ["/oodguard/runs", "/tmp"]  # noqa: S108
    (training.runs / "probe").unlink()


def test_a_run_outlives_its_containers_and_becomes_a_bundle(training: Training, smoke: str) -> None:
    training.run("evaluate", f"runs/{smoke}")
    training.run("export", f"runs/{smoke}", "--out", "runs/bundle")
    bundle = open_bundle(training.runs / "bundle")
    assert bundle.manifest.name == "smoke"
    assert bundle.manifest.classes == ("no_entry", "priority_road", "stop", "yield")


def test_a_run_that_is_stopped_goes_on_to_what_it_would_have_become(
    training: Training, smoke: str, stopped: str
) -> None:
    whole = training.epochs(smoke)
    assert 2 <= len(training.epochs(stopped)) < len(whole)
    training.run("fit", RECIPE, "--out", f"runs/{stopped}", "--resume")
    assert len(training.epochs(stopped)) == len(whole)
    (last,) = (training.runs / smoke).glob(f"epoch-{len(whole):03d}.safetensors")
    assert (training.runs / stopped / last.name).read_bytes() == last.read_bytes()
