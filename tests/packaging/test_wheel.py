"""Build the distributions and install the wheel next to a package with the same folder names."""

import base64
import configparser
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("client", "models", "service", "sources", "training")
OTHER = {f"{package}/__init__.py": f"OWNER = 'other {package}'\n" for package in PACKAGES}

pytestmark = pytest.mark.slow


def build(tree: Path, target: str, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target]
    subprocess.run([*command, "--directory", str(out)], cwd=tree, check=True)
    (path,) = out.iterdir()
    return path


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the source tree to a path with a space."""
    tree = tmp_path_factory.mktemp("source") / "a tree"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if not (ROOT / name).exists():
            continue
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
    return tree


@pytest.fixture(scope="module")
def wheel_path(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tree, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel(wheel_path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel_path)


@pytest.fixture(scope="module")
def environment(wheel_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install our wheel and another one in an environment; dependencies are the tests' own."""
    folder = tmp_path_factory.mktemp("environment")
    other = write_wheel(folder / "other-1.0-py3-none-any.whl", OTHER)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", str(wheel_path), str(other)], check=True)
    # Only now, so that pip does not find an editable installation of this project.
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(dependencies))
    return folder / "venv"


def write_wheel(path: Path, files: Mapping[str, str]) -> Path:
    content = {
        **files,
        "other-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n",
        "other-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = ""
    for name, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{name},sha256={digest.decode()},{len(text)}\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**content, "other-1.0.dist-info/RECORD": record}.items():
            archive.writestr(name, text)
    return path


def run(command: list[str | Path], cwd: Path) -> str:
    """Run a command with the working directory on the import path."""
    environment = {**os.environ, "PYTHONPATH": str(cwd)}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def dist_info(wheel: zipfile.ZipFile, name: str) -> str:
    (member,) = (each for each in wheel.namelist() if each.endswith(f".dist-info/{name}"))
    return wheel.read(member).decode()


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_contains_every_file_of_a_package_byte_for_byte(
    wheel: zipfile.ZipFile, package: str
) -> None:
    paths = [path for path in (ROOT / package).rglob("*") if path.is_file()]
    files = {
        f"oodguard/{path.relative_to(ROOT).as_posix()}": path.read_bytes()
        for path in paths
        if path.suffix != ".pyc"
    }
    assert {f"oodguard/{package}/__init__.py", f"oodguard/{package}/py.typed"} <= files.keys()
    assert files.items() <= {name: wheel.read(name) for name in wheel.namelist()}.items()


def test_wheel_contains_one_top_level_package(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"oodguard"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_wheel_has_both_commands_the_licence_and_no_upload(wheel: zipfile.ZipFile) -> None:
    commands = configparser.ConfigParser()
    commands.read_string(dist_info(wheel, "entry_points.txt"))
    assert set(commands["console_scripts"]) == {"oodguard", "oodguard-train"}
    assert "Apache License" in dist_info(wheel, "licenses/LICENSE")
    assert "Classifier: Private :: Do Not Upload" in dist_info(wheel, "METADATA").splitlines()


def test_wheel_from_the_sdist_equals_the_wheel_from_the_tree(
    tree: Path, wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    sdist = build(tree, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "an sdist", filter="data")
    (unpacked,) = (tmp_path / "an sdist").iterdir()
    second = zipfile.ZipFile(build(unpacked, "wheel", tmp_path / "wheel"))
    assert {name: second.read(name) for name in second.namelist()} == {
        name: wheel.read(name) for name in wheel.namelist()
    }


def test_wheel_works_next_to_packages_named_like_its_folders(
    environment: Path, tmp_path: Path
) -> None:
    # A folder in the working directory that fails when it is imported.
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError('the wrong package')\n")
    python = environment / "bin" / "python"
    package_file = run([python, "-c", "import oodguard; print(oodguard.__file__)"], tmp_path)
    assert Path(package_file).is_relative_to(environment)
    bundle = Path(package_file).parent / "models" / "pretrained" / "cifar10-aloe"
    verified = run([environment / "bin" / "oodguard", "verify", bundle], tmp_path)
    assert "cifar10-aloe" in verified
    picture = next((ROOT / "tests" / "data" / "cifar10").rglob("*.png"))
    code = f"from oodguard import Guard; print(Guard.open({str(bundle)!r})({str(picture)!r}))"
    assert "Verdict(label=" in run([python, "-c", code], tmp_path)


def test_wheel_leaves_the_files_of_other_packages_alone(environment: Path, tmp_path: Path) -> None:
    names = ", ".join(PACKAGES)
    code = f"import {names}; print(*(each.__file__ for each in ({names})))"
    files = run([environment / "bin" / "python", "-c", code], tmp_path).split()
    assert [Path(file).read_text() for file in files] == list(OTHER.values())
