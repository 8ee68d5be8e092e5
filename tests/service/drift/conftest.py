"""A service with three models, a state folder and the admin routes."""

from pathlib import Path

import pytest

from oodguard.service.drift import monitor
from oodguard.service.settings import Settings
from tests.service.api_keys import IssuedKey
from tests.service.conftest import Issued


@pytest.fixture
def quick_observations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "OBSERVE_INTERVAL_S", 0.01)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(three_models: Path, state: Path, key_file: Path) -> Settings:
    return Settings(
        models=three_models, default_model="one", state=state, keys_file=key_file, admin=True
    )


@pytest.fixture
def admin(issued: Issued) -> IssuedKey:
    return issued["admin"]
