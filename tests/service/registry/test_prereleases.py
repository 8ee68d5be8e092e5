"""Pre-releases: which versions are served by default."""

import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.models.errors import BundleError
from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from tests.service.checks import answering_model
from tests.service.conftest import MakeClient
from tests.service.registry.reloads import models, refused, reload
from tests.service.tiny import write_tiny


def test_prerelease_is_not_the_default_unless_it_is_referred_to(
    client: TestClient, three_models: Path
) -> None:
    write_tiny(three_models / "one" / "rc", name="one", version="11rc1")
    reload(client)
    assert answering_model(client) == ("one", "10")
    assert answering_model(client, "/models/one/predict") == ("one", "10")
    assert answering_model(client, "/models/one/versions/11rc1/predict") == ("one", "11rc1")
    assert [each.version for each in models(client).models][:3] == ["11rc1", "10", "9"]
    shutil.rmtree(three_models / "one" / "nine")
    shutil.rmtree(three_models / "one" / "ten")
    assert "is the default and remains served" in refused(client)
    (three_models / "policy.toml").write_text('default_model = "one@11rc1"\n', encoding="utf-8")
    reload(client)
    assert answering_model(client) == ("one", "11rc1")


def test_start_fails_if_every_version_of_the_default_model_is_a_prerelease(tmp_path: Path) -> None:
    write_tiny(tmp_path / "a", name="one", version="2rc1")
    write_tiny(tmp_path / "b", name="one", version="2b1")
    with pytest.raises(BundleError, match="set the default model to one@2rc1"):
        create_app(Settings(models=tmp_path))
    create_app(Settings(models=tmp_path, default_model="one@2b1"))


def test_single_bundle_may_be_a_prerelease(bundle_folder: Path, make_client: MakeClient) -> None:
    write_tiny(bundle_folder, version="2rc1")
    assert answering_model(make_client()) == ("tiny", "2rc1")
