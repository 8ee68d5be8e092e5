from pathlib import Path

import pytest

from tests.conftest import build_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_bundle(tmp_path / "tiny")
    return tmp_path / "tiny"
