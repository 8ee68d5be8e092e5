"""The shadow model is another model than the default model, at the start and after reloads."""

import logging
import shutil
from pathlib import Path

import pytest

from oodguard.models.errors import BundleError
from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from tests.e2e.conftest import wait_until
from tests.service.checks import answering_model, metric, problem
from tests.service.conftest import MakeClient

POLICY = 'default_model = "one"\nshadow_model = "{}"\nshadow_share = 1\n'


@pytest.mark.parametrize("default", ["one", "one@10"])
@pytest.mark.parametrize("shadow", ["one", "one@10"])
def test_shadow_that_is_the_default_model_is_refused_at_the_start(
    three_models: Path, default: str, shadow: str
) -> None:
    settings = Settings(
        models=three_models, default_model=default, shadow_model=shadow, shadow_share=1
    )
    with pytest.raises(BundleError) as error:
        create_app(settings)
    assert str(error.value) == (
        f"OODGUARD_SHADOW_MODEL is {shadow}, which is the default model one@10: set the shadow"
        " model to another model or version"
    )


def test_shadow_that_is_the_default_model_is_refused_by_a_reload(
    three_models: Path, make_admin_client: MakeClient
) -> None:
    policy = three_models / "policy.toml"
    policy.write_text(POLICY.format("two"), encoding="utf-8")
    client = make_admin_client(models=three_models)
    before = client.get("/models").json()
    assert before["shadow"] == {"name": "two", "version": "1", "share": 1}
    for shadow in ("one", "one@10"):
        policy.write_text(POLICY.format(shadow), encoding="utf-8")
        detail = problem(client.post("/admin/models/reload"), 409, "bundle-refused").detail
        assert f"shadow_model is {shadow}, which is the default model one@10" in detail
        assert client.get("/models").json() == before


@pytest.mark.parametrize("removed", ["ten", "nine"])
def test_shadow_ends_with_a_warning_if_it_is_removed_or_becomes_the_default_model(
    three_models: Path,
    make_admin_client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    removed: str,
) -> None:
    client = make_admin_client(
        models=three_models, default_model="one", shadow_model="one@9", shadow_share=1
    )

    def decisions(version: str) -> float:
        labels = {"model": "one", "version": version, "decision": "accept"}
        return metric(client.get("/metrics").text, "oodguard_decisions_total", **labels)

    answering_model(client)
    wait_until(lambda: decisions("9") == 1)
    shutil.rmtree(three_models / "one" / removed)
    with caplog.at_level(logging.WARNING, "oodguard.reload"):
        for _ in range(2):
            assert client.post("/admin/models/reload").status_code == 200
    warnings = [each for each in caplog.records if "shadow" in each.getMessage()]
    assert [each.__dict__["fields"] for each in warnings] == [{"shadow": "one@9"}]
    assert client.get("/models").json()["shadow"] is None
    default = "9" if removed == "ten" else "10"
    before = decisions(default)
    assert answering_model(client) == ("one", default)
    client.__exit__()  # waits for further predictions
    assert decisions(default) == before + 1
