"""The compose files: valid, pinned, confined, with documented variables."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from oodguard.service.settings import Settings, unknown_variables, variable
from tests.deploy.compose_files import (
    FILES,
    MAIN,
    ROOT,
    defaults,
    example,
    mounts,
    services,
    used_variables,
    with_defaults,
)

TRAIN = "docker-compose.train.yml"
EVERY_FILE = pytest.mark.parametrize("name", FILES)
COMBINATIONS = {
    "alone": [MAIN],
    "gpu": [MAIN, "docker-compose.gpu.yml"],
    "accounts": [MAIN, "docker-compose.accounts.yml"],
    "train": [TRAIN],
}
BUILT_HERE = re.compile(r"^ood-guard:\d+\.\d+\.\d+-(cpu|gpu|training)$")
PINNED = re.compile(r"^[\w./-]+:v?\d+\.\d+\.\d+$")


def _has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="docker compose is not installed")
@pytest.mark.parametrize("names", COMBINATIONS.values(), ids=COMBINATIONS)
def test_compose_accepts_the_files(names: list[str], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.touch()
    files = [flag for name in names for flag in ("--file", name)]
    done = subprocess.run(
        ["docker", "compose", "--env-file", os.devnull, *files, "config", "--quiet"],
        cwd=ROOT,
        env={**os.environ, "GRAFANA_PASSWORD_FILE": str(password)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@EVERY_FILE
def test_compose_variables_are_settings_or_in_the_example(name: str) -> None:
    settings = {variable(field) for field in Settings.model_fields}
    assert used_variables(name) <= settings | set(example())
    for service in services(name).values():
        assert unknown_variables(service.get("environment", {})) == []


def test_env_example_has_the_used_variables_and_their_defaults() -> None:
    assert set(example()) <= {used for name in FILES for used in used_variables(name)}
    # The example shows the default of the main file if two files use a variable.
    actual = {**defaults(TRAIN), **defaults("docker-compose.gpu.yml"), **defaults(MAIN)}
    documented = {name: value for name, value in example().items() if value}
    assert documented.items() <= actual.items()
    assert set(actual) - set(documented) == {"GUARD_KEYS_FILE"}


def test_compose_passes_every_setting_to_the_guard() -> None:
    settings = {variable(field) for field in Settings.model_fields}
    # The container fixes the address; keys are a secret file.
    fixed = {"OODGUARD_HOST", "OODGUARD_PORT", "OODGUARD_KEYS"}
    assert settings - fixed <= set(services(MAIN)["guard"]["environment"])


@EVERY_FILE
def test_compose_images_are_built_here_or_pinned(name: str) -> None:
    for service in services(name).values():
        image = service.get("image")
        if image:
            expected = BUILT_HERE if image.startswith("ood-guard:") else PINNED
            assert expected.match(image), image


@pytest.mark.parametrize(
    ("file", "service"), [*((MAIN, service) for service in services(MAIN)), (TRAIN, "train")]
)
def test_compose_service_is_confined_and_its_files_are_read_only(file: str, service: str) -> None:
    content = services(file)[service]
    assert content["read_only"] is True
    assert content["cap_drop"] == ["ALL"]
    assert content["security_opt"] == ["no-new-privileges:true"]
    writable = {*FILES[file].get("volumes", {}), "./runs"}
    for source, _, read_only in mounts(content):
        assert read_only or source in writable, source
        assert (ROOT / source).exists() or source in {*writable, "./data"}, source


def test_only_guard_and_grafana_are_published_and_on_loopback() -> None:
    published = {
        name: [with_defaults(port) for port in service["ports"]]
        for name, service in services(MAIN).items()
        if "ports" in service
    }
    assert published == {"guard": ["127.0.0.1:8000:8000"], "grafana": ["127.0.0.1:3000:3000"]}


def test_secret_file_paths_are_labels_so_that_a_new_path_recreates_the_container() -> None:
    for service in services(MAIN).values():
        files = {FILES[MAIN]["secrets"][name]["file"] for name in service.get("secrets", [])}
        assert files == set(service.get("labels", {}).values())


def test_stop_grace_period_exceeds_drain_and_timeout() -> None:
    grace_s = float(defaults(MAIN)["GUARD_STOP_GRACE"].removesuffix("s"))
    drain_s = Settings.model_fields["drain_s"].default
    timeout_s = Settings.model_fields["timeout_s"].default
    assert grace_s >= drain_s + timeout_s + 5
