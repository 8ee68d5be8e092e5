"""The Dockerfiles and the lock files that they install from."""

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.rules import DOCKER

ROOT = DOCKER.parent
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
LOCKS = sorted(DOCKER.glob("*.lock"))
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"

EVERY_DOCKERFILE = pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.stem)
EVERY_LOCK = pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.stem)
ENTRY = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[\w.]+)(?: ; [^\\]+)? \\\n"
    r"(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+",
    re.MULTILINE,
)
EXTRAS = {
    "cpu": ("serving", "cpu", "otel", "s3"),
    "gpu": ("serving", "gpu", "otel", "s3"),
    "training": ("training",),
}


def locked(file: Path) -> dict[str, str]:
    text = file.read_text(encoding="utf-8")
    return {canonicalize_name(m["name"]): m["version"] for m in ENTRY.finditer(text)}


@EVERY_DOCKERFILE
def test_dockerfile_passes_hadolint(file: Path) -> None:
    done = subprocess.run([HADOLINT, file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@EVERY_DOCKERFILE
def test_dockerfile_has_a_pinned_base_and_an_unprivileged_user(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert set(bases) == {"python:3.11-slim-bookworm"}
    last = text[text.rindex("\nFROM ") :]
    assert "\nUSER 10001:10001\n" in last
    assert re.search(r"^HEALTHCHECK ", last, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["', last, re.MULTILINE)
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", last))
    assert labels == {"title", "description", "licenses", "version", "revision"}
    # ONNX Runtime reads it at import and sends telemetry otherwise.
    assert re.search(r"^ENV (.*\\\n)* *ORT_DISABLE_TELEMETRY=1\b", last, re.MULTILINE)


@EVERY_DOCKERFILE
def test_dockerfile_installs_only_locked_packages_and_the_wheel(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for arguments in re.findall(r"pip install ([^\n\\&]*)", text):
        assert arguments.startswith(
            ("--require-hashes --only-binary :all: -r ", "--no-deps --no-index /dist/")
        )


@EVERY_LOCK
def test_lock_file_has_hashed_versions_and_no_urls(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ENTRY.sub("", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)) == ""
    assert locked(file)


@pytest.mark.parametrize("variant", EXTRAS)
def test_lock_file_satisfies_the_requirements_of_its_variant(variant: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = list(project["dependencies"])
    for extra in EXTRAS[variant]:
        required += project["optional-dependencies"][extra]
    versions = locked(DOCKER / f"{variant}.lock")
    assert ("torch" in versions) == (variant == "training")
    for requirement in map(Requirement, required):
        if requirement.name != project["name"]:
            version = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement


@EVERY_LOCK
def test_lock_file_has_the_versions_of_the_constraints(file: Path) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split(";")[0].split("==") for line in lines if not line.startswith("#")]
    expected = {canonicalize_name(name): version.strip() for name, version in pins}
    versions = {name: version for name, version in locked(file).items() if name in expected}
    assert versions == {name: version for name, version in expected.items() if name in versions}
