"""A folder of bundles: who answers, what a reload changes, and what it leaves alone."""

import logging
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.models.bundle import MODEL
from oodguard.models.errors import BundleError
from oodguard.service.api.schemas import ModelsAnswer, PredictAnswer
from oodguard.service.app import create_app
from oodguard.service.registry.registry import age
from oodguard.service.settings import Settings
from tests.service.checks import predictions, problem
from tests.service.conftest import MakeClient
from tests.service.pictures import encode, plain
from tests.service.security.holders import Holder, text_of
from tests.service.telemetry.test_metrics import samples, value
from tests.service.tiny import write_tiny


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Versions 9 and 10 of `one`, and `two`, whose names for the colours are others."""
    folder = tmp_path / "zoo"
    write_tiny(folder / "one" / "nine", name="one", version="9")
    write_tiny(folder / "one" / "ten", name="one", version="10")
    write_tiny(folder / "two", name="two", classes=("rouge", "vert", "bleu"))
    return folder


@pytest.fixture
def make_operated(make_client: MakeClient, tmp_path: Path) -> MakeClient:
    """Make a client that may ask for everything, the admin routes too."""
    holder = Holder.with_roles("predict", "metrics", "admin", key_id="operator")
    keys_file = tmp_path / "keys.toml"
    keys_file.touch(0o600)
    keys_file.write_text(text_of(holder))

    def make(**settings: object) -> TestClient:
        client = make_client(**{"keys_file": keys_file, "admin": True, **settings})
        client.headers.update(holder.headers)
        return client

    return make


@pytest.fixture
def client(zoo: Path, make_operated: MakeClient) -> TestClient:
    return make_operated(models=zoo, default_model="one")


def ask(client: TestClient, path: str = "/predict") -> PredictAnswer:
    response = client.post(path, content=encode(plain()), headers={"content-type": "image/png"})
    predictions(response)
    return PredictAnswer.model_validate_json(response.content)


def answering(client: TestClient, path: str = "/predict") -> tuple[str, str]:
    model = ask(client, path).model
    return model.name, model.version


@pytest.mark.parametrize(
    ("older", "newer"),
    [("9", "10"), ("1.9", "1.10"), ("1", "1.1"), ("2024-12", "2025-01"), ("a", "b"), ("rc1", "1")],
)
def test_versions_are_ordered_as_people_count(older: str, newer: str) -> None:
    assert age(older) < age(newer)


def test_the_default_the_newest_and_a_version_are_found_by_their_paths(client: TestClient) -> None:
    assert answering(client) == ("one", "10")
    assert answering(client, "/models/one/predict") == ("one", "10")
    assert answering(client, "/models/one/versions/9/predict") == ("one", "9")
    assert answering(client, "/models/two/predict") == ("two", "1")
    assert ask(client, "/models/two/predict").predictions[0].label == "rouge"


def test_models_lists_all_of_them_the_newest_first(client: TestClient) -> None:
    answer = ModelsAnswer.model_validate_json(client.get("/models").content)
    assert [(model.name, model.version) for model in answer.models] == [
        ("one", "10"),
        ("one", "9"),
        ("two", "1"),
    ]
    assert (answer.default, answer.default_version) == ("one", "10")


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/models/three/predict", "there are one, two"),
        ("/models/one/versions/11/predict", "there are 10, 9"),
    ],
)
def test_a_model_that_is_not_there_is_a_problem(client: TestClient, path: str, detail: str) -> None:
    response = client.post(path, content=encode(plain()), headers={"content-type": "image/png"})
    assert detail in problem(response, 404, "unknown-model").detail


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "models one, two; say which one.*OODGUARD_DEFAULT_MODEL"),
        ({"default_model": "three"}, "OODGUARD_DEFAULT_MODEL: no model 'three'"),
        ({"default_model": "one@8"}, "model one has no version '8'"),
    ],
)
def test_a_default_that_is_not_clear_is_refused_at_start(
    zoo: Path, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        create_app(Settings.model_validate({"models": zoo, **settings}))


def test_two_folders_with_the_same_model_are_refused_at_start(zoo: Path) -> None:
    write_tiny(zoo / "copy", name="two")
    with pytest.raises(BundleError, match="both hold two 1"):
        create_app(Settings(models=zoo, default_model="one"))


def test_an_empty_folder_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no bundle"):
        create_app(Settings(models=tmp_path))


def test_the_log_says_at_start_what_is_served_and_where_it_runs(
    zoo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "oodguard.reload"):
        create_app(Settings(models=zoo, default_model="one"))
    fields = [record.__dict__["fields"] for record in caplog.records]
    assert [(each["model"], each["version"]) for each in fields] == [
        ("one", "9"),
        ("one", "10"),
        ("two", "1"),
    ]
    assert {each["providers"] for each in fields} == {("CPUExecutionProvider",)}


def reload(client: TestClient, path: str = "/admin/models/reload") -> dict[tuple[str, str], str]:
    response = client.post(path)
    assert response.status_code == 200, response.text
    return {
        (each["model"], each["version"]): each["outcome"] for each in response.json()["changes"]
    }


def test_a_reload_serves_what_is_new_and_drops_what_is_gone(client: TestClient, zoo: Path) -> None:
    write_tiny(zoo / "one" / "eleven", name="one", version="11")
    shutil.rmtree(zoo / "two")
    assert reload(client) == {
        ("one", "9"): "unchanged",
        ("one", "10"): "unchanged",
        ("one", "11"): "loaded",
        ("two", "1"): "removed",
    }
    assert answering(client) == ("one", "11")
    two = client.post("/models/two/predict", content=b"x", headers={"content-type": "image/png"})
    problem(two, 404, "unknown-model")
    found = samples(client)
    assert value(found, "oodguard_reloads_total", model="two", outcome="removed") == 1
    told = {dict(labels)["version"] for name, labels in found if name == "oodguard_bundle_info"}
    assert told == {"9", "10", "11"}


def test_a_bundle_that_was_altered_is_swapped_in_its_place(client: TestClient, zoo: Path) -> None:
    before = ask(client, "/models/two/predict")
    write_tiny(zoo / "two", name="two", classes=("red", "green", "blue"))
    assert reload(client, "/admin/models/two/reload") == {("two", "1"): "loaded"}
    after = ask(client, "/models/two/predict")
    assert before.model.sha256 != after.model.sha256
    assert after.predictions[0].label == "red"


def test_a_bad_bundle_leaves_the_old_one_serving_and_says_why(
    client: TestClient, zoo: Path
) -> None:
    write_tiny(zoo / "one" / "eleven", name="one", version="11")
    with (zoo / "two" / MODEL).open("ab") as file:
        file.write(b"more")
    refused = problem(client.post("/admin/models/reload"), 409, "bundle-refused")
    assert "two: model.onnx" in refused.detail
    assert ask(client, "/models/two/predict").predictions[0].label == "rouge"
    # The good one of the same reload is served.
    assert answering(client) == ("one", "11")


def test_the_last_model_that_can_answer_is_not_removed(client: TestClient, zoo: Path) -> None:
    shutil.rmtree(zoo / "one")
    refused = problem(client.post("/admin/models/one/reload"), 409, "bundle-refused")
    assert "one answers POST /predict" in refused.detail
    assert answering(client) == ("one", "10")


def test_a_model_that_is_not_served_cannot_be_reloaded_by_name(client: TestClient) -> None:
    problem(client.post("/admin/models/three/reload"), 404, "unknown-model")


def test_the_admin_routes_are_off_unless_asked_for(make_client: MakeClient) -> None:
    problem(make_client().post("/admin/models/reload"), 404, "not-found")


def test_the_one_bundle_of_its_own_can_be_reloaded(
    bundle_folder: Path, make_operated: MakeClient
) -> None:
    client = make_operated()
    write_tiny(bundle_folder, version="2")
    assert reload(client) == {("tiny", "2"): "loaded"}
    assert answering(client) == ("tiny", "2")


def test_a_shadow_judges_its_share_for_the_metrics_alone(
    zoo: Path, make_client: MakeClient
) -> None:
    client = make_client(models=zoo, default_model="one", shadow_model="two", shadow_share=1)
    for _ in range(3):
        assert answering(client) == ("one", "10")
    assert answering(client, "/models/one/versions/9/predict") == ("one", "9")
    two = {"model": "two", "version": "1"}
    for _ in range(1000):
        found = samples(client)
        if (
            found.get(
                ("oodguard_shadow_images_total", frozenset({**two, "agreement": "same"}.items()))
            )
            == 3
        ):
            break
    else:
        pytest.fail("the shadow did not judge what the default model had answered")
    assert value(found, "oodguard_shadow_images_total", agreement="different", **two) == 0
    assert value(found, "oodguard_decisions_total", decision="accept", **two) == 3


def test_a_shadow_that_is_not_there_is_refused_at_start(zoo: Path) -> None:
    with pytest.raises(BundleError, match="OODGUARD_SHADOW_MODEL: no model 'four'"):
        create_app(Settings(models=zoo, default_model="one", shadow_model="four"))


def test_a_bundle_of_another_name_does_not_leave_predict_without_an_answer(
    bundle_folder: Path, make_operated: MakeClient
) -> None:
    client = make_operated()
    write_tiny(bundle_folder, name="other")
    refused = problem(client.post("/admin/models/reload"), 409, "bundle-refused")
    assert "tiny answers POST /predict" in refused.detail
    assert answering(client) == ("tiny", "1")


def test_a_default_of_one_version_stays_when_its_folder_gets_another(
    zoo: Path, make_operated: MakeClient
) -> None:
    client = make_operated(models=zoo, default_model="one@9")
    write_tiny(zoo / "one" / "nine", name="one", version="12")
    refused = problem(client.post("/admin/models/reload"), 409, "bundle-refused")
    assert "one@9 answers POST /predict" in refused.detail
    assert answering(client) == ("one", "9")
