"""The model registry: models by name and version, the default model, and errors at the start."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.models.errors import BundleError
from oodguard.models.versions import version_key
from oodguard.service.api.schemas import ModelsResponse
from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from tests.service.checks import answering_model, ask, post, problem
from tests.service.pictures import encode, plain
from tests.service.tiny import write_tiny


@pytest.mark.parametrize(
    ("older", "newer"),
    [("9", "10"), ("1.9", "1.10"), ("1", "1.1"), ("2024-12", "2025-01"), ("a", "b"), ("rc1", "1")],
)
def test_versions_are_sorted_by_their_numbers(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


def test_model_is_found_by_default_by_name_and_by_version(client: TestClient) -> None:
    assert answering_model(client) == ("one", "10")
    assert answering_model(client, "/models/one/predict") == ("one", "10")
    assert answering_model(client, "/models/one/versions/9/predict") == ("one", "9")
    assert answering_model(client, "/models/two/predict") == ("two", "1")
    assert ask(client, "/models/two/predict").predictions[0].label == "rouge"


def test_models_route_lists_every_version_newest_first(client: TestClient) -> None:
    answer = ModelsResponse.model_validate_json(client.get("/models").content)
    assert [(model.name, model.version) for model in answer.models] == [
        ("one", "10"),
        ("one", "9"),
        ("two", "1"),
    ]
    assert (answer.default, answer.default_version) == ("one", "10")


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/models/three/predict", "'three' is not served, expected one of: one, two"),
        ("/models/one/versions/11/predict", "no version '11', expected one of: 10, 9"),
    ],
)
def test_returns_404_for_an_unknown_model(client: TestClient, path: str, detail: str) -> None:
    response = post(client, encode(plain()), path=path)
    assert detail in problem(response, 404, "unknown-model").detail


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"several models are served \(one, two\).*set OODGUARD_DEFAULT_MODEL"),
        ({"default_model": "three"}, "OODGUARD_DEFAULT_MODEL: the model 'three' is not served"),
        ({"default_model": "one@8"}, "the model 'one' has no version '8'"),
        ({"default_model": "one", "shadow_model": "four"}, "OODGUARD_SHADOW_MODEL: .*'four'"),
    ],
)
def test_start_fails_without_the_default_or_the_shadow_model(
    three_models: Path, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        create_app(Settings.model_validate({"models": three_models, **settings}))


def test_start_fails_if_two_folders_contain_the_same_version(three_models: Path) -> None:
    write_tiny(three_models / "copy", name="two")
    with pytest.raises(BundleError, match="both contain two 1"):
        create_app(Settings(models=three_models, default_model="one"))


def test_start_fails_if_the_folder_contains_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="contains no bundle"):
        create_app(Settings(models=tmp_path))
