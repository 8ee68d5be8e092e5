"""What the wheel contains: hatchling obeys .gitignore, so a file can go missing silently."""

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from oodguard.models.bundle import CALIBRATION, CARD, EVALUATION, MANIFEST, MODEL

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("models", "service", "training")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", str(folder)], cwd=ROOT, check=True)
    (path,) = folder.glob("ood_guard-*-py3-none-any.whl")
    return zipfile.ZipFile(path)


def dist_info(wheel: zipfile.ZipFile, name: str) -> str:
    (member,) = (each for each in wheel.namelist() if each.endswith(f".dist-info/{name}"))
    return wheel.read(member).decode()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_of_a_package_is_in_the_wheel(wheel: zipfile.ZipFile, package: str) -> None:
    files = {
        f"oodguard/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert f"oodguard/{package}/__init__.py" in files
    assert files <= set(wheel.namelist())


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"oodguard/{package}/py.typed" in wheel.namelist()


@pytest.mark.parametrize("name", ["cifar10-aloe", "cifar10-standard"])
def test_a_shipped_bundle_is_in_the_wheel_byte_for_byte(wheel: zipfile.ZipFile, name: str) -> None:
    folder = Path("models", "pretrained", name)
    for file in (MODEL, CALIBRATION, EVALUATION, CARD, MANIFEST):
        path = folder / file
        assert wheel.read(f"oodguard/{path.as_posix()}") == (ROOT / path).read_bytes()


def test_the_wheel_holds_nothing_beside_the_packages(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"oodguard"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_the_wheel_offers_both_commands_and_its_licence(wheel: zipfile.ZipFile) -> None:
    commands = configparser.ConfigParser()
    commands.read_string(dist_info(wheel, "entry_points.txt"))
    assert set(commands["console_scripts"]) == {"oodguard", "oodguard-train"}
    assert "Apache License" in dist_info(wheel, "licenses/LICENSE")


def test_an_index_would_refuse_an_upload_of_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert "Classifier: Private :: Do Not Upload" in dist_info(wheel, "METADATA").splitlines()
