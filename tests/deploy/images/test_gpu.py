"""The service image for GPUs, built to its end and started where it is given none."""

from collections.abc import Iterator

import pytest

from tests.deploy.lane.docker import ROOT, Docker
from tests.deploy.lane.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

IMAGE = "ood-guard:0.1.0-gpu"
GUARD = "ood-guard-lane-gpu"
BUNDLES = ("--volume", f"{ROOT / 'models' / 'pretrained'}:/bundles:ro")
BUNDLE = ("--env", "OODGUARD_BUNDLE=/bundles/cifar10-aloe")
CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true")
ASK = (
    "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/metrics').read().decode())"
)


@pytest.fixture(scope="module")
def engine(docker: Docker) -> Docker:
    docker.build("docker/service.Dockerfile", IMAGE, "--build-arg", "RUNTIME=gpu")
    return docker


@pytest.fixture
def guard(engine: Docker) -> Iterator[str]:
    """A guard that takes what there is, once it is healthy."""
    flags = ["--detach", "--name", GUARD, *CONFINED, *BUNDLES, *BUNDLE]
    engine.docker("run", *flags, "--env", "OODGUARD_DEVICE=auto", IMAGE)
    try:
        wait_for(
            lambda: engine.inspected(GUARD)["State"]["Health"]["Status"] == "healthy",
            "the guard to be healthy",
            within_s=90,
        )
        yield GUARD
    finally:
        engine.docker("rm", "--force", GUARD)


def test_a_guard_that_was_to_have_a_gpu_does_not_start_without_one(engine: Docker) -> None:
    flags = ["--rm", *CONFINED, *BUNDLES, *BUNDLE]
    done = engine.attempt("run", *flags, "--env", "OODGUARD_DEVICE=cuda", IMAGE)
    assert done.returncode != 0
    assert "cuda" in done.stderr.splitlines()[-1]


def test_a_guard_that_may_do_without_says_what_it_runs_on(engine: Docker, guard: str) -> None:
    told = engine.docker("exec", guard, "python", "-c", ASK)
    (info,) = [line for line in told.splitlines() if line.startswith("oodguard_bundle_info{")]
    assert 'provider="CPUExecutionProvider"' in info


def test_the_image_brings_the_runtime_for_cuda_and_no_torch(engine: Docker, guard: str) -> None:
    say = "import onnxruntime; print(onnxruntime.get_available_providers())"
    assert "CUDAExecutionProvider" in engine.docker("exec", guard, "python", "-c", say)
    without = engine.attempt("exec", guard, "python", "-c", "import torch")
    assert "No module named 'torch'" in without.stderr
