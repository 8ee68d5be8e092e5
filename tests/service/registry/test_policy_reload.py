"""policy.toml at the start and in reloads: what it changes, and what a refused one leaves."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from oodguard.models.bundle import MODEL
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.errors import BundleError
from oodguard.service.app import create_app
from oodguard.service.errors import PolicyError
from oodguard.service.settings import Settings
from tests.conftest import rows_bundle
from tests.e2e.conftest import wait_until
from tests.service.checks import answering_model, ask, metric
from tests.service.graphs import CLASSES, SIZE, graph
from tests.service.registry.reloads import models, refused, reload, used
from tests.service.tiny import write_tiny

PREVIOUS = ("brightness", 0.05, 0.05, 244.0)
"""The policy of the settings; rank 6 of 250 scores 1, 2, ... 250."""


@pytest.fixture(name="policy")
def _policy(three_models: Path) -> Path:
    return three_models / "policy.toml"


def test_policy_reload_changes_alpha_and_delta_of_one_model(
    client: TestClient, policy: Path
) -> None:
    assert used(client) == PREVIOUS
    policy.write_text('[models.one]\nalpha = 0.1\ndelta = "none"\n', encoding="utf-8")
    # floor(0.1 * 251) = 25, the 25th largest of 1, 2, ... 250.
    change = "alpha: 0.05 -> 0.1, delta: 0.05 -> none, threshold: 244.0 -> 226.0"
    assert reload(client) == {
        "one@10": ("policy-changed", change),
        "one@9": ("policy-changed", change),
        "two@1": ("unchanged", ""),
        "policy.toml@": ("loaded", ""),
    }
    assert used(client) == ("brightness", 0.1, None, 226.0)
    assert used(client, "/models/two/predict") == PREVIOUS
    (ten, _, two) = models(client).models
    assert (ten.policy.alpha, two.policy.alpha) == (0.1, 0.05)
    found = client.get("/metrics").text
    assert metric(found, "oodguard_alpha", model="one", version="10") == 0.1
    assert metric(found, "oodguard_threshold", model="one", version="10") == 226
    assert metric(found, "oodguard_reloads_total", model="policy.toml", outcome="loaded") == 1
    assert reload(client)["policy.toml@"] == ("unchanged", "")
    policy.unlink()
    assert reload(client)["policy.toml@"] == ("removed", "")
    assert used(client) == PREVIOUS


def test_policy_reload_changes_the_score_of_one_version(client: TestClient, policy: Path) -> None:
    policy.write_text('[models."one@10"]\nscore = "darkness"\n', encoding="utf-8")
    assert reload(client, "/admin/models/one/reload")["one@10"] == (
        "policy-changed",
        "score: brightness -> darkness",
    )
    assert used(client)[0] == "darkness"
    assert used(client, "/models/one/versions/9/predict")[0] == "brightness"
    found = client.get("/metrics").text
    shown = {"model": "one", "version": "10"}
    assert metric(found, "oodguard_threshold", **shown, score="darkness") == 244
    assert metric(found, "oodguard_threshold", **shown) == 244
    # Darkness is -85 for red and above no calibration score; brightness is above 84 of 250.
    assert ask(client).predictions[0].p_value == 1
    assert ask(client, "/models/one/versions/9/predict").predictions[0].p_value == 167 / 251


def test_policy_reload_changes_the_default_and_the_shadow_model(
    client: TestClient, policy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert models(client).shadow is None
    policy.write_text(
        'default_model = "two"\nshadow_model = "one@9"\nshadow_share = 1\n', encoding="utf-8"
    )
    change = "default_model: one -> two, shadow_model: none -> one@9, shadow_share: 0.0 -> 1.0"
    with caplog.at_level(logging.INFO, "oodguard.reload"):
        assert reload(client)["policy.toml@"] == ("loaded", change)
    fields = [
        record.__dict__["fields"]
        for record in caplog.records
        if record.getMessage() == "The policy file was loaded."
    ]
    assert [each["detail"] for each in fields] == [change]
    assert answering_model(client) == ("two", "1")
    answer = models(client)
    assert (answer.default, answer.default_version) == ("two", "1")
    assert answer.shadow
    assert (answer.shadow.name, answer.shadow.version) == ("one", "9")
    assert answer.shadow.share == 1

    def compared() -> float:
        text = client.get("/metrics").text
        return metric(text, "oodguard_shadow_images_total", model="one", version="9")

    wait_until(lambda: compared() == 1)
    policy.write_text('default_model = "two"\n', encoding="utf-8")
    assert (
        reload(client)["policy.toml@"][1] == "shadow_model: one@9 -> none, shadow_share: 1.0 -> 0.0"
    )
    assert answering_model(client) == ("two", "1")
    assert compared() == 1


def test_policy_reload_moves_the_default_away_from_a_removed_model(
    client: TestClient, policy: Path, three_models: Path
) -> None:
    policy.write_text('default_model = "two"\n', encoding="utf-8")
    shutil.rmtree(three_models / "one")
    assert {outcome for outcome, _ in reload(client).values()} == {"unchanged", "loaded", "removed"}
    assert [each.name for each in models(client).models] == ["two"]


def test_policy_reload_routes_to_a_bundle_of_the_same_reload(
    client: TestClient, policy: Path, three_models: Path
) -> None:
    write_tiny(three_models / "one" / "rc", name="one", version="11rc1")
    policy.write_text(
        'default_model = "one@11rc1"\n[models."one@11rc1"]\nalpha = 0.1\n', encoding="utf-8"
    )
    assert reload(client)["one@11rc1"] == ("loaded", "")
    assert answering_model(client) == ("one", "11rc1")
    assert used(client)[1] == 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models.one]\nalpha = nan\n", "models.one.alpha is nan, expected a finite number"),
        ("[models.two]\nalpha = 0.001\n", "models.two (two@1): 250 calibration images are too few"),
        ('[models.two]\nscore = "energy"\n', "models.two (two@1): the score is 'energy'"),
        ("[models.two]\nby_class = true\n", "models.two (two@1): by_class is true, but the bundle"),
        ("[models.two]\nalpha = 1.1\n", "models.two.alpha is 1.1, expected a number less than 1"),
        ('default_model = "one@11"\n', "default_model: the model 'one' has no version '11'"),
        ("[models.one]\nalpha = 0.0", "the file is empty or its last line has no end"),
        ("[models.three]\nalpha = 0.1\n", "models.three is not a served model"),
    ],
)
def test_policy_reload_keeps_the_previous_policy_if_the_file_is_refused(
    client: TestClient, policy: Path, three_models: Path, text: str, message: str
) -> None:
    policy.write_text("[models.one]\nalpha = 0.1\n", encoding="utf-8")
    reload(client)
    before = used(client)
    policy.write_text(f'shadow_model = "two"\n{text}', encoding="utf-8")
    write_tiny(three_models / "one" / "eleven", name="one", version="11")
    if "one@11" in text:
        shutil.rmtree(three_models / "one" / "eleven")
    detail = refused(client)
    assert detail.startswith(f"{policy}: ")
    assert message in detail
    # Bundles of the same reload are served, with the previous policy.
    assert used(client) == before
    assert before[1] == 0.1
    assert models(client).shadow is None
    found = client.get("/metrics").text
    assert metric(found, "oodguard_reloads_total", outcome="refused") == 1
    assert metric(found, "oodguard_last_reload_successful", model="policy.toml") == 0
    assert metric(found, "oodguard_last_reload_successful", model="one") == 1
    policy.unlink()
    reload(client)
    found = client.get("/metrics").text
    assert metric(found, "oodguard_last_reload_successful", model="policy.toml") == 1


def test_policy_reload_restores_every_policy_if_the_new_default_cannot_be_loaded(
    client: TestClient, policy: Path, three_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(three_models / "one" / "eleven", name="one", version="11")
    policy.write_text('default_model = "one@11"\n[models.two]\nalpha = 0.1\n', encoding="utf-8")
    # The bundle is valid when the policy is checked, and damaged when it is loaded.
    reloader = client.app.state.reloader  # type: ignore[attr-defined]
    load = reloader.load

    def damage_and_load(folder: Path, *arguments: object) -> object:
        if folder.name == "eleven":
            (folder / MODEL).write_bytes(b"")
        return load(folder, *arguments)

    monkeypatch.setattr(reloader, "load", damage_and_load)
    assert "default_model: the model 'one' has no version '11'" in refused(client)
    assert used(client, "/models/two/predict") == PREVIOUS
    assert answering_model(client) == ("one", "10")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[models.one]\nalpha = 2\n", PolicyError, "models.one.alpha is 2, expected"),
        (
            "[models.two]\nalpha = 0.001\n",
            PolicyError,
            r"models.two \(two@1\): 250 calibration images",
        ),
        ("[models.three]\nalpha = 0.1\n", PolicyError, "models.three is not a served model"),
        ('default_model = "three"\n', BundleError, "default_model: the model 'three'"),
    ],
)
def test_policy_is_refused_at_the_start(
    three_models: Path, policy: Path, text: str, error: type[Exception], message: str
) -> None:
    policy.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        create_app(Settings(models=three_models, default_model="one"))


def test_policy_reload_checks_a_key_that_is_set_to_none(client: TestClient, policy: Path) -> None:
    policy.write_text("[models.one]\n", encoding="utf-8")
    reload(client)
    # `alpha = "none"` differs from no alpha, though both are None in Python.
    policy.write_text('[models.one]\nalpha = "none"\n', encoding="utf-8")
    assert "alpha is none and beta is none" in refused(client)
    policy.write_text('[models.one]\ndelta = "none"\n', encoding="utf-8")
    assert reload(client)["policy.toml@"] == ("loaded", "")
    assert used(client)[2] is None


def test_reload_warns_once_of_a_policy_that_does_not_hold_in_full(
    client: TestClient, three_models: Path, policy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = CalibrationRows(
        scores={name: np.arange(250, dtype=np.float32) for name in ("brightness", "darkness")},
        predicted=np.repeat([0, 1, 2], [200, 40, 10]).astype(np.int32),
    )
    rows_bundle(
        three_models / "rows",
        rows,
        classes=CLASSES,
        height=SIZE,
        width=SIZE,
        model=graph(),
        name="rows",
    )
    policy.write_text("[models.rows]\nby_class = true\n", encoding="utf-8")

    def warned() -> list[dict[str, str]]:
        found = [each.__dict__["fields"] for each in caplog.records if "in full" in each.message]
        caplog.clear()
        return found

    with caplog.at_level(logging.WARNING):
        loaded = reload(client)["rows@1"]
        (fields,) = warned()
        assert loaded == ("loaded", f"the policy does not hold in full: {fields['limitation']}")
        assert (fields["model"], fields["version"]) == ("rows", "1")
        assert "green (40), blue (10)" in fields["limitation"]
        reload(client)  # unchanged
        policy.write_text("[models.rows]\nby_class = 3\n", encoding="utf-8")
        refused(client)
        assert warned() == []
