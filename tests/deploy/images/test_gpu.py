"""The GPU image builds, and starts without a GPU only if the CPU is allowed."""

from collections.abc import Iterator

import pytest

from tests.deploy.compose.docker import ROOT, Docker

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

IMAGE = "ood-guard:0.1.0-gpu"
GUARD = "ood-guard-test-gpu"
BUNDLES = ("--volume", f"{ROOT / 'models' / 'pretrained'}:/bundles:ro")
BUNDLE = ("--env", "OODGUARD_BUNDLE=/bundles/cifar10-aloe")
CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true")
METRICS = (
    "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/metrics').read().decode())"
)


@pytest.fixture(scope="module")
def engine(docker: Docker) -> Docker:
    docker.build("docker/service.Dockerfile", IMAGE, "--build-arg", "RUNTIME=gpu")
    return docker


@pytest.fixture
def guard(engine: Docker) -> Iterator[str]:
    """A healthy guard with OODGUARD_DEVICE=auto."""
    flags = ["--detach", "--name", GUARD, *CONFINED, *BUNDLES, *BUNDLE]
    engine.docker("run", *flags, "--env", "OODGUARD_DEVICE=auto", IMAGE)
    try:
        engine.wait_until_healthy(GUARD, within_s=90)
        yield GUARD
    finally:
        engine.docker("rm", "--force", GUARD)


def test_device_cuda_refuses_to_start_without_a_gpu(engine: Docker) -> None:
    flags = ["--rm", *CONFINED, *BUNDLES, *BUNDLE]
    done = engine.attempt("run", *flags, "--env", "OODGUARD_DEVICE=cuda", IMAGE)
    assert done.returncode != 0
    assert "cuda" in done.stderr.splitlines()[-1]


def test_device_auto_reports_the_cpu_without_a_gpu(engine: Docker, guard: str) -> None:
    text = engine.docker("exec", guard, "python", "-c", METRICS)
    (info,) = [line for line in text.splitlines() if line.startswith("oodguard_bundle_info{")]
    assert 'provider="CPUExecutionProvider"' in info


def test_gpu_image_has_the_cuda_runtime_and_no_torch(engine: Docker, guard: str) -> None:
    code = "import onnxruntime; print(onnxruntime.get_available_providers())"
    assert "CUDAExecutionProvider" in engine.docker("exec", guard, "python", "-c", code)
    without = engine.attempt("exec", guard, "python", "-c", "import torch")
    assert "No module named 'torch'" in without.stderr
