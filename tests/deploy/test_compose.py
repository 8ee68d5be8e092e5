"""The compose files: pinned, confined, limited, and with no variable that nobody explains."""

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
    asked_for,
    defaults,
    example,
    mounted,
    seconds,
    services,
    with_defaults,
)

EVERY_FILE = pytest.mark.parametrize("name", FILES)
EVERY_SERVICE = pytest.mark.parametrize("service", services(MAIN))
RUN = {
    "alone": [MAIN],
    "gpu": [MAIN, "docker-compose.gpu.yml"],
    "accounts": [MAIN, "docker-compose.accounts.yml"],
    "train": ["docker-compose.train.yml"],
}
BUILT_HERE = re.compile(r"^ood-guard:\d+\.\d+\.\d+-(cpu|gpu|training)$")
PINNED = re.compile(r"^[\w./-]+:v?\d+\.\d+\.\d+$")


def _compose() -> bool:
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return asked.returncode == 0


@pytest.mark.skipif(not _compose(), reason="there is no docker compose here")
@pytest.mark.parametrize("names", RUN.values(), ids=RUN)
def test_compose_takes_the_files(names: list[str], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.touch()
    files = [flag for name in names for flag in ("--file", name)]
    told = subprocess.run(
        ["docker", "compose", "--env-file", os.devnull, *files, "config", "--quiet"],
        cwd=ROOT,
        env={**os.environ, "GRAFANA_PASSWORD_FILE": str(password)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr


@EVERY_FILE
def test_every_variable_is_a_setting_or_explained_in_the_example(name: str) -> None:
    settings = {variable(field) for field in Settings.model_fields}
    assert asked_for(name) <= settings | set(example())


def test_the_example_explains_nothing_that_no_file_asks_for() -> None:
    assert set(example()) <= {asked for name in FILES for asked in asked_for(name)}


def test_the_example_shows_the_defaults() -> None:
    # Where a variable is asked for twice, the main file's default is shown.
    there = {**defaults("docker-compose.train.yml"), **defaults("docker-compose.gpu.yml")}
    there |= defaults(MAIN)
    shown = {name: value for name, value in example().items() if value}
    assert shown.items() <= there.items()
    assert set(there) - set(shown) == {"GUARD_KEYS_FILE"}


def test_every_setting_can_be_set_but_for_what_the_container_fixes() -> None:
    settings = {variable(field) for field in Settings.model_fields}
    # The address within the container; keys come as a secret file alone.
    fixed = {"OODGUARD_HOST", "OODGUARD_PORT", "OODGUARD_KEYS"}
    assert settings - fixed <= set(services(MAIN)["guard"]["environment"])


@EVERY_FILE
def test_no_variable_of_the_guard_is_misspelt(name: str) -> None:
    for service in services(name).values():
        assert unknown_variables(service.get("environment", {})) == []


@EVERY_FILE
def test_every_image_is_built_here_or_pinned(name: str) -> None:
    for service in services(name).values():
        image = service.get("image")
        if image:
            wanted = BUILT_HERE if image.startswith("ood-guard:") else PINNED
            assert wanted.match(image), image


@EVERY_SERVICE
def test_a_service_is_confined_limited_and_looked_after(service: str) -> None:
    told = services(MAIN)[service]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert told["restart"] == "unless-stopped"
    assert set(told["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    # The guard's is in its image.
    assert ("healthcheck" in told) != (service == "guard")


def test_training_is_confined_too() -> None:
    told = services("docker-compose.train.yml")["train"]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    # What stops it must reach it: a first process that catches no signal is sent none.
    assert told["init"] is True


def test_only_the_guard_and_grafana_are_published_and_on_loopback() -> None:
    published = {
        name: [with_defaults(port) for port in service["ports"]]
        for name, service in services(MAIN).items()
        if "ports" in service
    }
    assert published == {"guard": ["127.0.0.1:8000:8000"], "grafana": ["127.0.0.1:3000:3000"]}


@EVERY_SERVICE
def test_what_is_mounted_is_there_and_cannot_be_written(service: str) -> None:
    volumes = FILES[MAIN]["volumes"]
    for source, _, read_only in mounted(services(MAIN)[service]):
        if source not in volumes:
            assert (ROOT / source).exists(), source
            assert read_only, source


@EVERY_SERVICE
def test_what_must_survive_is_in_a_volume_of_its_own(service: str) -> None:
    assert service in {source for source, _, _ in mounted(services(MAIN)[service])}


def test_secrets_come_as_files() -> None:
    for name, content in FILES.items():
        for secret in content.get("secrets", {}).values():
            assert set(secret) == {"file"}
        for service in content["services"].values():
            words = ("PASSWORD", "TOKEN", "SECRET")
            for asked in service.get("environment", {}):
                assert not any(word in asked for word in words) or asked.endswith("__FILE"), name


def test_a_secret_in_another_file_makes_its_reader_anew() -> None:
    # Compose compares what is said of a service, and of a secret that is its name alone.
    for service in services(MAIN).values():
        files = {FILES[MAIN]["secrets"][name]["file"] for name in service.get("secrets", [])}
        assert files == set(service.get("labels", {}).values())


def test_no_request_is_cut_off_by_an_impatient_stop() -> None:
    grace = seconds(defaults(MAIN)["GUARD_STOP_GRACE"])
    drain_s = Settings.model_fields["drain_s"].default
    timeout_s = Settings.model_fields["timeout_s"].default
    assert grace >= drain_s + timeout_s + 5


def test_grafana_waits_for_what_it_shows_and_prometheus_not_for_what_it_watches() -> None:
    waits = {name: service.get("depends_on", {}) for name, service in services(MAIN).items()}
    assert waits["grafana"] == {"prometheus": {"condition": "service_healthy"}}
    assert waits["prometheus"]["guard"] == {"condition": "service_started"}
    assert waits["prometheus"]["alertmanager"] == {"condition": "service_healthy"}
