"""The training image builds, fits, evaluates, exports, and resumes after a stop."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oodguard.models.bundle import open_bundle
from tests.deploy.compose.docker import ROOT, Docker, environment, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

IMAGE = "ood-guard:0.1.0-training"
RECIPE = "recipes/smoke.toml"
IMAGE_UID = 10001
# The exit status of a process that SIGTERM ended; SIGKILL would be 137.
ENDED_BY_SIGTERM = 128 + 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Training(Docker):
    """The compose project of training; it writes to the folder `runs` on this machine."""

    runs: Path

    def run(self, *words: str, flags: tuple[str, ...] = ("--rm",)) -> str:
        """Run `oodguard-train` with these words in a new container."""
        project = ["--project-name", "ood-guard-training-test", "--env-file", os.devnull]
        file = ["--file", "docker-compose.train.yml"]
        return self.docker("compose", *project, *file, "run", *flags, "--no-TTY", "train", *words)

    def epochs(self, run: str) -> list[Any]:
        """Return the finished epochs of a run."""
        try:
            text = (self.runs / run / "progress.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        epochs: list[Any] = json.loads(text)["epochs"]
        return epochs


@pytest.fixture(scope="module")
def training(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The built image, with recipes and runs in a new folder and the images of the tests."""
    docker.build("docker/training.Dockerfile", IMAGE)
    folder = tmp_path_factory.mktemp("training")
    owner = os.getuid() or IMAGE_UID
    runs, recipes = folder / "runs", folder / "recipes"
    runs.mkdir()
    recipes.mkdir()
    text = (ROOT / RECIPE).read_text(encoding="utf-8")
    (folder / RECIPE).write_text(re.sub('"tests/data/', '"data/', text), encoding="utf-8")
    if os.getuid() == 0:
        os.chown(runs, owner, owner)
    return Training(
        environment=environment(
            TRAIN_DATA=str(ROOT / "tests" / "data"),
            TRAIN_RECIPES=str(recipes),
            TRAIN_RUNS=str(runs),
            TRAIN_USER=f"{owner}:{owner}",
        ),
        runs=runs,
    )


@pytest.fixture(scope="module")
def uninterrupted(training: Training) -> str:
    """The name of a run without an interruption."""
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
        assert training.inspect(container)["State"]["ExitCode"] == ENDED_BY_SIGTERM
        yield name
    finally:
        training.docker("rm", "--force", container)


def test_training_container_is_confined_and_writes_only_runs(training: Training) -> None:
    script = (
        "cat /proc/self/status; for each in / /etc /oodguard /oodguard/data /oodguard/recipes"
        " /oodguard/runs /tmp; do touch $each/probe 2>&1 && echo wrote $each; done; true"
    )
    output = training.run("-c", script, flags=("--rm", "--entrypoint", "sh"))
    status = dict(re.findall(r"^(\w+):\t(.*)$", output, re.MULTILINE))
    assert all(int(uid) > 0 for uid in status["Uid"].split())
    assert {status[kind] for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert re.findall(r"^wrote (.*)$", output, re.MULTILINE) == ["/oodguard/runs", "/tmp"]  # noqa: S108
    (training.runs / "probe").unlink()


def test_run_is_exported_by_further_containers(training: Training, uninterrupted: str) -> None:
    training.run("evaluate", f"runs/{uninterrupted}")
    training.run("export", f"runs/{uninterrupted}", "--out", "runs/bundle")
    bundle = open_bundle(training.runs / "bundle")
    assert bundle.manifest.name == "smoke"
    assert bundle.manifest.classes == ("no_entry", "priority_road", "stop", "yield")


def test_stopped_run_resumes_to_the_uninterrupted_result(
    training: Training, uninterrupted: str, stopped: str
) -> None:
    epochs = training.epochs(uninterrupted)
    assert 2 <= len(training.epochs(stopped)) < len(epochs)
    training.run("fit", RECIPE, "--out", f"runs/{stopped}", "--resume")
    assert len(training.epochs(stopped)) == len(epochs)
    (last,) = (training.runs / uninterrupted).glob(f"epoch-{len(epochs):03d}.safetensors")
    assert (training.runs / stopped / last.name).read_bytes() == last.read_bytes()
