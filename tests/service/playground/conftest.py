"""The shipped bundles."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def pretrained() -> Path:
    return Path(__file__).resolve().parents[3] / "models" / "pretrained"
