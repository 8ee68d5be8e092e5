"""Reload of bundles: what it loads, replaces and removes, and what it leaves unchanged."""

import gc
import io
import json
import logging
import os
import shutil
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from oodguard.models.bundle import MODEL
from oodguard.service.app import create_app
from oodguard.service.inference.session import ModelSession
from oodguard.service.settings import Settings
from oodguard.service.telemetry.logs import JsonFormatter
from tests.service.checks import answering_model, ask, metric, post, problem
from tests.service.conftest import MakeClient
from tests.service.tiny import write_tiny


def reload(client: TestClient, path: str = "/admin/models/reload") -> dict[tuple[str, str], str]:
    response = client.post(path)
    assert response.status_code == 200, response.text
    return {
        (each["model"], each["version"]): each["outcome"] for each in response.json()["changes"]
    }


def refused(client: TestClient, path: str = "/admin/models/reload") -> str:
    return problem(client.post(path), 409, "bundle-refused").detail


def unsuccessful(client: TestClient) -> set[str]:
    """Return the models of `oodguard_last_reload_successful` with the value 0."""
    found = text_string_to_metric_families(client.get("/metrics").text)
    (family,) = (each for each in found if each.name == "oodguard_last_reload_successful")
    return {each.labels["model"] for each in family.samples if each.value == 0}


def test_start_logs_each_model_with_its_providers(
    three_models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "oodguard.reload"):
        create_app(Settings(models=three_models, default_model="one"))
    fields = [record.__dict__["fields"] for record in caplog.records]
    assert [(each["model"], each["version"]) for each in fields] == [
        ("one", "9"),
        ("one", "10"),
        ("two", "1"),
    ]
    assert {each["providers"] for each in fields} == {("CPUExecutionProvider",)}


def test_reload_loads_new_bundles_and_removes_missing_ones(
    client: TestClient, three_models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_tiny(three_models / "one" / "eleven", name="one", version="11")
    shutil.rmtree(three_models / "two")
    with caplog.at_level(logging.INFO, "oodguard.reload"):
        changes = reload(client)
    fields = {each.getMessage(): each.__dict__["fields"] for each in caplog.records}
    assert fields["The default model was changed."] == {"before": "one@10", "after": "one@11"}
    assert changes == {
        ("one", "9"): "unchanged",
        ("one", "10"): "unchanged",
        ("one", "11"): "loaded",
        ("two", "1"): "removed",
    }
    assert answering_model(client) == ("one", "11")
    problem(post(client, b"x", path="/models/two/predict"), 404, "unknown-model")
    found = client.get("/metrics").text
    assert metric(found, "oodguard_reloads_total", model="two", outcome="removed") == 1
    shown = [
        metric(found, "oodguard_bundle_info", version=version) for version in ("9", "10", "11")
    ]
    assert shown == [1, 1, 1]
    assert metric(found, "oodguard_bundle_info") == 3


def test_reload_replaces_a_changed_bundle(client: TestClient, three_models: Path) -> None:
    before = ask(client, "/models/two/predict")
    write_tiny(three_models / "two", name="two", classes=("red", "green", "blue"))
    assert reload(client, "/admin/models/two/reload") == {("two", "1"): "loaded"}
    after = ask(client, "/models/two/predict")
    assert before.model.sha256 != after.model.sha256
    assert after.predictions[0].label == "red"


def test_reload_of_a_single_bundle_loads_its_new_version(
    bundle_folder: Path, make_admin_client: MakeClient
) -> None:
    client = make_admin_client()
    write_tiny(bundle_folder, version="2")
    assert reload(client) == {("tiny", "2"): "loaded"}
    assert answering_model(client) == ("tiny", "2")


def test_reload_of_invalid_bundle_keeps_old_model(client: TestClient, three_models: Path) -> None:
    write_tiny(three_models / "one" / "eleven", name="one", version="11")
    with (three_models / "two" / MODEL).open("ab") as file:
        file.write(b"more")
    assert unsuccessful(client) == set()
    assert "two: model.onnx" in refused(client)
    assert unsuccessful(client) == {"two"}
    assert ask(client, "/models/two/predict").predictions[0].label == "rouge"
    # The valid bundle of the same reload is served.
    assert answering_model(client) == ("one", "11")
    # A reload of another model does not check the refused bundle.
    reload(client, "/admin/models/one/reload")
    assert unsuccessful(client) == {"two"}
    write_tiny(three_models / "two", name="two")
    reload(client)
    assert unsuccessful(client) == set()


def test_reload_forgets_a_refused_bundle_that_is_gone(
    client: TestClient, three_models: Path
) -> None:
    write_tiny(three_models / "three", name="three")
    (three_models / "three" / MODEL).write_bytes(b"")
    refused(client)
    assert unsuccessful(client) == {"unknown"}
    shutil.rmtree(three_models / "three")
    (three_models / "two" / MODEL).write_bytes(b"")
    refused(client)
    assert unsuccessful(client) == {"two"}
    shutil.rmtree(three_models / "two")
    reload(client)
    assert unsuccessful(client) == set()
    shown = client.get("/metrics").text
    assert 'oodguard_last_reload_successful{model="one"} 1.0' in shown
    assert 'oodguard_last_reload_successful{model="two"}' not in shown


@pytest.mark.parametrize("state", ["missing", "empty"])
@pytest.mark.parametrize("path", ["/admin/models/reload", "/admin/models/one/reload"])
def test_reload_without_any_bundle_is_refused_and_counted(
    client: TestClient, three_models: Path, path: str, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(three_models)
    if state == "empty":
        three_models.mkdir()
    with caplog.at_level(logging.WARNING, "oodguard.reload"):
        reason = "contains no bundle" if state == "empty" else "is not a folder"
        assert f"OODGUARD_MODELS is {three_models}, which {reason}" in refused(client, path)
    # The runbook searches for "was refused".
    (record,) = caplog.records
    assert record.getMessage() == "A bundle was refused."
    assert record.__dict__["fields"]["folder"] == str(three_models)
    found = client.get("/metrics").text
    assert metric(found, "oodguard_reloads_total", model="unknown", outcome="refused") == 1
    assert unsuccessful(client) == {"unknown"}
    assert answering_model(client) == ("one", "10")
    write_tiny(three_models / "one" / "ten", name="one", version="10")
    reload(client)
    assert unsuccessful(client) == set()


def test_reload_does_not_remove_the_default_model(client: TestClient, three_models: Path) -> None:
    shutil.rmtree(three_models / "one")
    detail = refused(client, "/admin/models/one/reload")
    assert "its model one is the default and remains served" in detail
    assert answering_model(client) == ("one", "10")


def test_reload_does_not_rename_the_default_model(
    bundle_folder: Path, make_admin_client: MakeClient
) -> None:
    client = make_admin_client()
    write_tiny(bundle_folder, name="other")
    assert "contains other 1, expected the default model tiny" in refused(client)
    assert answering_model(client) == ("tiny", "1")


def live_sessions() -> int:
    # By type(): some objects of libraries warn on access to `__class__`.
    return sum(type(each) is ModelSession for each in gc.get_objects())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "status"), [("other", 409), ("tiny", 200)])
def test_reload_frees_refused_and_replaced_models_without_a_garbage_collection(
    bundle_folder: Path, make_admin_client: MakeClient, name: str, status: int
) -> None:
    client = make_admin_client()
    ask(client)
    write_tiny(bundle_folder, name=name, version="2")
    gc.collect()
    gc.disable()
    try:
        sessions = live_sessions()
        assert client.post("/admin/models/reload").status_code == status
        give_up = time.monotonic() + 5
        while live_sessions() > sessions:
            assert time.monotonic() < give_up
            time.sleep(0.01)
    finally:
        gc.enable()


def test_reload_does_not_change_the_version_of_a_pinned_default_model(
    three_models: Path, make_admin_client: MakeClient
) -> None:
    client = make_admin_client(models=three_models, default_model="one@9")
    write_tiny(three_models / "one" / "nine", name="one", version="12")
    assert "contains one 12, expected the default model one@9" in refused(client)
    assert answering_model(client) == ("one", "9")


def test_reload_names_a_refused_folder_whose_name_is_not_utf8(
    client: TestClient, three_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.StringIO()
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(JsonFormatter())
    monkeypatch.setattr(logging.getLogger("oodguard.reload"), "handlers", [handler])
    write_tiny(three_models / os.fsdecode(b"\xff\xfe"), name="two")
    assert r"\udcff\udcfe: " in refused(client)
    lines = [json.loads(line) for line in stderr.getvalue().splitlines()]
    (line,) = [line for line in lines if line["outcome"] == "refused"]
    assert line["folder"] == rf"{three_models}/\udcff\udcfe"


def test_reload_returns_404_for_an_unknown_model(client: TestClient) -> None:
    problem(client.post("/admin/models/three/reload"), 404, "unknown-model")
