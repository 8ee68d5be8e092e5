"""The compose files: valid, pinned, confined, with documented variables."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from oodguard.service.settings import Settings, unknown_variables, variable
from tests.deploy.rules import DOCKER, Yaml, read

ROOT = DOCKER.parent
MAIN, TRAIN = "docker-compose.yml", "docker-compose.train.yml"
PROXY = "docker-compose.proxy.yml"
FILES: Mapping[str, Yaml] = {file.name: read(file) for file in sorted(ROOT.glob("docker-compose*"))}
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
EXAMPLE = dict(
    re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
)
SETTINGS = {variable(field) for field in Settings.model_fields}

# ${NAME}, ${NAME:-default}, ${NAME:?error} and ${NAME:+alternative}; a default may be a reference.
REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?+])(?P<rest>(?:\$\{[^}]*\}|[^}])*))?\}")
BUILT_HERE = re.compile(r"^ood-guard:\d+\.\d+\.\d+-(cpu|gpu|training)$")
PINNED = re.compile(r"^[\w./-]+:v?\d+\.\d+\.\d+$")
EVERY_FILE = pytest.mark.parametrize("name", FILES)


def services(name: str) -> Mapping[str, Yaml]:
    found: Mapping[str, Yaml] = FILES[name]["services"]
    return found


def used_variables(name: str) -> set[str]:
    """Return the variables that a file takes from the shell or from .env."""
    passed = {
        variable
        for service in services(name).values()
        for variable, value in service.get("environment", {}).items()
        if value is None
    }
    return passed | {found["name"] for found in REFERENCE.finditer(TEXTS[name])}


def defaults(name: str) -> Mapping[str, str]:
    """Return the default of each variable that has one."""
    return {
        m["name"]: with_defaults(m["rest"])
        for m in REFERENCE.finditer(TEXTS[name])
        if m["kind"] == "-"
    }


def with_defaults(text: str) -> str:
    """Return a text in which no variable is set."""
    return REFERENCE.sub(
        lambda found: with_defaults(found["rest"]) if found["kind"] == "-" else "", text
    )


def mount(entry: str | Yaml) -> tuple[str, bool]:
    """Return source and read-only flag of a mount."""
    if isinstance(entry, str):
        source, _, *mode = with_defaults(entry).split(":")
        return source, mode == ["ro"]
    return with_defaults(entry["source"]), entry.get("read_only", False)


def _has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="docker compose is not installed")
@pytest.mark.parametrize(
    "names",
    [
        [MAIN],
        [MAIN, "docker-compose.gpu.yml"],
        [MAIN, "docker-compose.accounts.yml"],
        [MAIN, PROXY],
        [TRAIN],
    ],
    ids=["alone", "gpu", "accounts", "proxy", "train"],
)
def test_compose_accepts_the_files(names: list[str], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch()
    secrets = ("GRAFANA_PASSWORD_FILE", "PROXY_CERTIFICATE", "PROXY_CERTIFICATE_KEY")
    files = [flag for name in names for flag in ("--file", name)]
    done = subprocess.run(
        ["docker", "compose", "--env-file", os.devnull, *files, "config", "--quiet"],
        cwd=ROOT,
        env={**os.environ, **dict.fromkeys(secrets, str(secret))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@EVERY_FILE
def test_compose_variables_are_settings_or_in_the_example(name: str) -> None:
    assert used_variables(name) <= SETTINGS | set(EXAMPLE)
    for service in services(name).values():
        assert unknown_variables(service.get("environment", {})) == []


def test_env_example_has_the_used_variables_and_their_defaults() -> None:
    assert set(EXAMPLE) <= {used for name in FILES for used in used_variables(name)}
    # The example shows the default of the main file if two files use a variable.
    names = (TRAIN, PROXY, "docker-compose.gpu.yml", MAIN)
    actual = {name: value for file in names for name, value in defaults(file).items()}
    documented = {name: value for name, value in EXAMPLE.items() if value}
    assert documented.items() <= actual.items()
    assert set(actual) - set(documented) == {"GUARD_KEYS_FILE"}


def test_compose_passes_every_setting_to_the_guard() -> None:
    # The container fixes the address; keys are a secret file.
    fixed = {"OODGUARD_HOST", "OODGUARD_PORT", "OODGUARD_KEYS"}
    assert SETTINGS - fixed <= set(services(MAIN)["guard"]["environment"])


@EVERY_FILE
def test_compose_images_are_built_here_or_pinned(name: str) -> None:
    for service in services(name).values():
        image = service.get("image")
        if image:
            expected = BUILT_HERE if image.startswith("ood-guard:") else PINNED
            assert expected.match(image), image


@pytest.mark.parametrize(
    ("file", "service"),
    [*((MAIN, service) for service in services(MAIN)), (TRAIN, "train"), (PROXY, "proxy")],
)
def test_compose_service_is_confined_and_its_files_are_read_only(file: str, service: str) -> None:
    content = services(file)[service]
    assert content["read_only"] is True
    assert content["cap_drop"] == ["ALL"]
    assert content["security_opt"] == ["no-new-privileges:true"]
    writable = {*FILES[file].get("volumes", {}), "./runs"}
    for source, read_only in map(mount, content.get("volumes", [])):
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
    fields = Settings.model_fields
    assert grace_s >= fields["drain_s"].default + fields["timeout_s"].default + 5


def test_proxy_is_the_only_way_to_the_guards_and_waits_longer_than_they_do() -> None:
    guard, proxy = services(PROXY)["guard"], services(PROXY)["proxy"]
    assert guard["ports"] == []
    assert [with_defaults(port) for port in proxy["ports"]] == ["127.0.0.1:8443:8443"]
    nginx = (DOCKER / "proxy" / "nginx.conf").read_text(encoding="utf-8")
    assert f"location {guard['environment']['OODGUARD_ROOT_PATH']}/ {{" in nginx
    (timeout_s,) = re.findall(r"proxy_read_timeout (\d+)s;", nginx)
    (max_body_mib,) = re.findall(r"client_max_body_size (\d+)m;", nginx)
    fields = Settings.model_fields
    assert float(timeout_s) > fields["timeout_s"].default
    assert proxy["stop_grace_period"] == defaults(MAIN)["GUARD_STOP_GRACE"]
    assert int(max_body_mib) * 2**20 == fields["max_body_bytes"].default


def test_prometheus_discovers_every_replica_of_the_guard() -> None:
    jobs = read(DOCKER / "prometheus" / "prometheus.yml")["scrape_configs"]
    (job,) = (each for each in jobs if each["job_name"] == "oodguard")
    (discovery,) = job["dns_sd_configs"]
    assert discovery["names"] == ["guard"]
    assert (discovery["type"], discovery["port"]) == ("A", 8000)
