"""A reset of the drift evidence: by the admin route, in the state folder, and across restarts."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from oodguard.service.api.schemas import DriftResetAnswer
from oodguard.service.app import create_app
from oodguard.service.cli import app as cli
from oodguard.service.drift import drift_cli, monitor
from oodguard.service.drift.reset_request import ResetRequest
from oodguard.service.errors import DriftStateError
from oodguard.service.settings import Settings
from tests.e2e.conftest import wait_until
from tests.service.api_keys import IssuedKey
from tests.service.checks import metric, post, problem
from tests.service.conftest import Issued
from tests.service.pictures import WHITE, encode, plain

MakeService = Callable[..., TestClient]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "OBSERVE_INTERVAL_S", 0.01)


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> Path:
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


@contextmanager
def serving(settings: Settings, issued: Issued) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        client.headers.update(issued["predict"].headers)
        yield client


def metrics(client: TestClient, issued: Issued) -> str:
    return client.get("/metrics", headers=issued["metrics"].headers).text


def evidence(client: TestClient, issued: Issued, version: str = "10") -> tuple[float, float]:
    found, labels = metrics(client, issued), {"model": "one", "version": version}
    return (
        metric(found, "oodguard_drift_log_martingale", **labels),
        metric(found, "oodguard_rejection_log_martingale", **labels),
    )


def resets(client: TestClient, issued: Issued) -> float:
    return metric(metrics(client, issued), "oodguard_drift_resets_total", model="one", version="10")


def flood(client: TestClient, issued: Issued) -> None:
    """Send 200 white images, which are all rejected, and wait for both alarms."""
    files = [("files", encode(plain(WHITE))) for _ in range(200)]
    assert client.post("/predict", files=files).status_code == 200
    wait_until(lambda: min(evidence(client, issued)) > -np.log(0.01))


def oodguard(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(
        cli, [str(each) for each in arguments], env={"COLUMNS": "200", **environment}
    )


def test_drift_reset_route_clears_the_evidence_and_its_alarms(
    settings: Settings, issued: Issued, admin: IssuedKey, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(settings, issued) as client:
        flood(client, issued)
        before = evidence(client, issued)
        assert resets(client, issued) == 0
        path = "/admin/models/one/versions/10/drift/reset"
        response = client.post(path, headers=admin.headers)
        (done,) = DriftResetAnswer.model_validate_json(response.content).resets
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


def test_drift_reset_command_uses_the_state_folder_of_a_running_service(
    settings: Settings, issued: Issued, state: Path
) -> None:
    with serving(settings, issued) as client:
        flood(client, issued)
        result = oodguard("drift", "reset", "one", OODGUARD_STATE=str(state))
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines() == [
            "one 10: the reset is done",
            "one 9: the reset is done",
        ]
        assert evidence(client, issued) == (0, 0)
        assert resets(client, issued) == 1
        assert not list(state.glob("*.reset"))
        # Not again and again.
        flood(client, issued)
        assert resets(client, issued) == 1


def test_drift_reset_command_without_a_service_is_done_by_the_next_start(
    settings: Settings, issued: Issued, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_cli, "TAKEN_WITHIN_S", 0.05)
    with serving(settings, issued) as client:
        flood(client, issued)
    result = oodguard("drift", "reset", "one@10", "--state", state)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("one 10: the reset is requested, but no running service")
    with serving(settings, issued) as client:
        wait_until(lambda: evidence(client, issued) == (0, 0))
        assert resets(client, issued) == 1
    with serving(settings, issued) as client:
        assert evidence(client, issued) == (0, 0)
        assert resets(client, issued) == 0


def test_drift_reset_command_is_not_done_while_the_state_cannot_be_written(
    settings: Settings,
    issued: Issued,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(settings, issued) as client:
        flood(client, issued)

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(monitor, "write_state", fail)
            patch.setattr(drift_cli, "TAKEN_WITHIN_S", 0.2)
            assert (
                "no running service has done it"
                in oodguard("drift", "reset", "one@10", "--state", state).stdout
            )
            assert resets(client, issued) == 0
        assert caplog.messages.count("A requested drift reset failed.") == 1
        wait_until(lambda: evidence(client, issued) == (0, 0))


@pytest.mark.parametrize("kind", ["pipe", "link", "broken link", "folder"])
def test_drift_reset_request_that_is_not_a_regular_file_is_an_error(
    tmp_path: Path, kind: str
) -> None:
    target, request = tmp_path / "target", tmp_path / "drift-one-9.reset"
    if kind == "pipe":
        os.mkfifo(request)
    elif kind == "folder":
        request.mkdir()
    else:
        request.symlink_to(target)
    if kind == "link":
        target.touch()
        os.utime(target, (1, 1))
    with pytest.raises(DriftStateError, match=r"drift-one-9\.reset is not a regular file"):
        ResetRequest(tmp_path / "drift-one-9.safetensors").write()
    assert target.exists() == (kind == "link")
    assert kind != "link" or target.stat().st_mtime == 1


def test_drift_reset_command_ignores_requests_that_are_not_files(
    settings: Settings, issued: Issued, state: Path
) -> None:
    (state / "drift-one-10.reset").mkdir()
    (state / "drift-one-9.reset").symlink_to("/dev/zero")
    with serving(settings, issued) as client:
        flood(client, issued)
        assert min(evidence(client, issued)) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["three"], "has no drift state of three, expected one of: one@10, one@9, two@1"),
        (["one@8"], "has no drift state of one@8, expected one of: one@10, one@9, two@1"),
        (["one", "--state", "/nope"], "/nope is not a folder, expected the state folder"),
        (["one", "--key-file", "k"], "--key-file is k, but --url is not set"),
        (["one", "--url", "localhost:8000"], "expected http://HOST:PORT or https://HOST"),
        (["one", "--url", "http://[::1"], "--url is http://[::1, expected"),
        (["one", "--url", "http://127.0.0.1:1"], "http://127.0.0.1:1 cannot be reached: "),
        (
            ["one", "--url", "http://127.0.0.1:1", "--key-file", "missing"],
            "--key-file missing cannot be read: [Errno 2]",
        ),
    ],
)
def test_drift_reset_command_reports_errors(
    settings: Settings, issued: Issued, state: Path, arguments: list[str], message: str
) -> None:
    with serving(settings, issued):
        pass
    result = oodguard("drift", "reset", *arguments, OODGUARD_STATE=str(state))
    assert result.exit_code == 1
    assert result.stderr.startswith("oodguard: ")
    assert message in result.stderr


def test_drift_reset_command_names_the_setting_if_the_service_has_no_admin_routes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(
        create_app(settings.model_copy(update={"admin": False, "keys_file": None}))
    ) as (client):
        response = client.post("/admin/models/one/drift/reset")
    monkeypatch.setattr(drift_cli, "_post", lambda *_: (response.status_code, response.content))
    result = oodguard("drift", "reset", "one", "--url", "http://guard")
    assert result.exit_code == 1
    assert "returned 404: " in result.stderr
    assert "the service runs without its admin routes (OODGUARD_ADMIN)" in result.stderr


def test_drift_reset_command_without_a_state_folder_names_the_alternatives() -> None:
    result = oodguard("drift", "reset", "one")
    assert result.exit_code == 1
    assert "OODGUARD_STATE is not set" in result.stderr
    assert "--url and --key-file" in result.stderr


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
