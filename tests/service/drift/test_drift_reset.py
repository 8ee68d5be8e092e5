"""A reset of the drift evidence: by the admin route, by a policy change, and across restarts."""

import shutil
from pathlib import Path

import pytest

from oodguard.service.api.schemas import DriftResetResponse
from oodguard.service.settings import Settings
from tests.service.api_keys import IssuedKey
from tests.service.checks import post, problem
from tests.service.conftest import Issued
from tests.service.drift.drift_service import evidence, flood, resets, serving
from tests.service.pictures import WHITE, encode, plain

pytestmark = pytest.mark.usefixtures("quick_observations")


def test_drift_reset_route_clears_the_evidence_and_its_alarms(
    settings: Settings, issued: Issued, admin: IssuedKey, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(settings, issued) as client:
        flood(client, issued)
        before = evidence(client, issued)
        assert resets(client, issued) == 0
        path = "/admin/models/one/versions/10/drift/reset"
        response = client.post(path, headers=admin.headers)
        (done,) = DriftResetResponse.model_validate_json(response.content).resets
        assert (done.model, done.version) == ("one", "10")
        assert (done.scores.log_martingale, done.rejections.log_martingale) == before
        assert (done.scores.images, done.rejections.images) == (200, 200)
        assert evidence(client, issued) == (0, 0)
        assert resets(client, issued) == 1
        # Evidence after the reset counts, and alarms are counted further.
        flood(client, issued)
    (record,) = [
        each for each in caplog.records if each.getMessage() == "The drift evidence was reset."
    ]
    fields = record.__dict__["fields"]
    assert (fields["model"], fields["version"], fields["by"]) == ("one", "10", "key the-admin")
    assert fields["scores_log_martingale"] == pytest.approx(before[0], abs=0.001)
    assert fields["rejections_images"] == 200


def test_drift_reset_survives_a_restart(
    settings: Settings, issued: Issued, admin: IssuedKey, state: Path
) -> None:
    with serving(settings, issued) as client:
        flood(client, issued)
        assert client.post("/admin/models/one/drift/reset", headers=admin.headers).json()["resets"]
        killed = state.with_name("killed")
        shutil.copytree(state, killed)
    # After a shutdown, and after a kill immediately after the response.
    for folder in (state, killed):
        with serving(settings.model_copy(update={"state": folder}), issued) as client:
            assert evidence(client, issued) == (0, 0)


def test_drift_reset_route_resets_every_version_of_a_name(
    settings: Settings, issued: Issued, admin: IssuedKey
) -> None:
    with serving(settings, issued) as client:
        answer = client.post("/admin/models/one/drift/reset", headers=admin.headers).json()
        assert [(each["model"], each["version"]) for each in answer["resets"]] == [
            ("one", "10"),
            ("one", "9"),
        ]
        for path in ("/admin/models/three/drift/reset", "/admin/models/one/versions/8/drift/reset"):
            problem(client.post(path, headers=admin.headers), 404, "unknown-model")


def test_drift_reset_route_requires_the_role_admin(settings: Settings, issued: Issued) -> None:
    with serving(settings, issued) as client:
        for path in ("/admin/models/one/drift/reset", "/admin/models/one/versions/9/drift/reset"):
            problem(client.post(path), 403, "role-missing")
            del client.headers["authorization"]
            problem(client.post(path), 401, "key-missing")
            client.headers.update(issued["predict"].headers)


def test_drift_reset_leaves_the_evidence_if_the_state_cannot_be_written(
    settings: Settings, issued: Issued, admin: IssuedKey, state: Path
) -> None:
    with serving(settings, issued) as client:
        flood(client, issued)
        before = evidence(client, issued)
        shutil.rmtree(state)
        response = client.post("/admin/models/one/drift/reset", headers=admin.headers)
        detail = problem(response, 503, "drift-not-reset").detail
        assert detail.startswith("the evidence of one 10 is unchanged")
        assert detail.endswith("cannot be written: No such file or directory")
        assert evidence(client, issued) == before
        assert resets(client, issued) == 0


def test_policy_change_keeps_the_ranks_and_restarts_the_rejections(
    settings: Settings, issued: Issued, admin: IssuedKey, three_models: Path
) -> None:
    for kept in (settings, settings.model_copy(update={"state": None})):
        policy = three_models / "policy.toml"
        policy.unlink(missing_ok=True)
        with serving(kept, issued) as client:
            flood(client, issued)
            ranks, _ = evidence(client, issued)
            policy.write_text("[models.one]\nalpha = 0.2\n", encoding="utf-8")
            assert client.post("/admin/models/reload", headers=admin.headers).status_code == 200
            assert evidence(client, issued) == (ranks, 0)
            policy.write_text('[models.one]\nscore = "darkness"\n', encoding="utf-8")
            assert client.post("/admin/models/reload", headers=admin.headers).status_code == 200
            assert evidence(client, issued) == (0, 0)
            # White images have the lowest darkness: none is rejected.
            assert post(client, encode(plain(WHITE))).json()["predictions"][0]["p_value"] == 1
            client.post("/admin/models/one/drift/reset", headers=admin.headers)
