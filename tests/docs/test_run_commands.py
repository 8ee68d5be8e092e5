"""The blocks marked `<!-- run -->` run, against a server of the packaged bundle."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from oodguard.service.settings import default_bundle
from tests.docs.shell_blocks import shell_blocks
from tests.docs.test_commands import PAGES, ROOT, blocks
from tests.e2e.conftest import environment, serving

RUN = [page for page in PAGES if any(block.mark == "run" for block in blocks(page))]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a running server."""
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(default_bundle(), log, {"OODGUARD_WORKERS": 1}) as server:
        yield server.port


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_the_page_run(page: Path, port: int, tmp_path: Path) -> None:
    for name in ("benchmarks", "examples", "models", "recipes", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    images = ROOT / "tests" / "data"
    shutil.copyfile(images / "cifar10/ship/00588.png", tmp_path / "a.png")
    shutil.copyfile(images / "textures/00057.png", tmp_path / "b.jpg")
    scripts = sysconfig.get_path("scripts")
    variables = environment() | {"PATH": f"{scripts}:{os.environ['PATH']}"}
    folder, place = tmp_path, tmp_path / ".folder"
    for block in shell_blocks(page.read_text(encoding="utf-8")):
        if block.mark != "run":
            continue
        script = block.text.replace("localhost:8000", f"127.0.0.1:{port}")
        script = re.sub(r"\.venv(-demo)?/bin(?=/)", lambda _: scripts, script)
        done = subprocess.run(
            # The next block begins in the folder in which this one ends.
            ["bash", "-euo", "pipefail", "-c", f"{script}\npwd > '{place}'"],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        where = f"{page.name}, line {block.line}:\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, where
        assert "/problems/" not in done.stdout, where
        folder = Path(place.read_text().rstrip("\n"))
