"""The command `oodguard drift reset`: with and without a running service."""

import os
from pathlib import Path

import numpy as np
import orjson
import pytest
from safetensors.numpy import save_file
from starlette.testclient import TestClient

from oodguard.command_line.exit_codes import ExitCode
from oodguard.service.app import create_app
from oodguard.service.drift import drift_cli, monitor
from oodguard.service.drift.reset_request import ResetRequest
from oodguard.service.errors import DriftStateError
from oodguard.service.settings import Settings
from tests.e2e.conftest import wait_until
from tests.service.commands import oodguard
from tests.service.conftest import Issued
from tests.service.drift.drift_service import evidence, flood, resets, serving
from tests.service.full_disk import full_disk

pytestmark = pytest.mark.usefixtures("quick_observations")


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
    assert result.stdout.startswith("one 10: the reset is requested, but no service is running")
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
            result = oodguard("drift", "reset", "one", "--state", state)
            assert result.exit_code == 1
            assert result.stderr == (
                "oodguard: the running service has not reset one 10, one 9 within 0.2 s: see its"
                " log. It tries again until it succeeds\n"
            )
            assert resets(client, issued) == 0
        assert caplog.messages.count("A requested drift reset failed.") == 2
        wait_until(lambda: evidence(client, issued) == (0, 0))


def test_drift_reset_request_on_a_full_disk_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with full_disk(5), pytest.raises(DriftStateError, match=r"\.reset cannot be written: File too"):
        ResetRequest(tmp_path / "drift-one@9.safetensors").write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["pipe", "link", "broken link", "folder"])
def test_drift_reset_request_that_is_not_a_regular_file_is_an_error(
    tmp_path: Path, kind: str
) -> None:
    target, request = tmp_path / "target", tmp_path / "drift-one@9.reset"
    if kind == "pipe":
        os.mkfifo(request)
    elif kind == "folder":
        request.mkdir()
    else:
        request.symlink_to(target)
    if kind == "link":
        target.touch()
        os.utime(target, (1, 1))
    with pytest.raises(DriftStateError, match=r"drift-one@9\.reset is not a regular file"):
        ResetRequest(tmp_path / "drift-one@9.safetensors").write()
    assert target.exists() == (kind == "link")
    assert kind != "link" or target.stat().st_mtime == 1


def test_drift_reset_command_ignores_requests_that_are_not_files(
    settings: Settings, issued: Issued, state: Path
) -> None:
    (state / "drift-one@10.reset").mkdir()
    (state / "drift-one@9.reset").symlink_to("/dev/zero")
    with serving(settings, issued) as client:
        flood(client, issued)
        assert min(evidence(client, issued)) > 0


def test_drift_reset_command_ignores_files_that_no_service_uses(
    settings: Settings, issued: Issued, state: Path
) -> None:
    metadata = {"model": "one", "version": "9"}
    # The name that earlier commits gave to the file.
    save_file({"x": np.zeros(1)}, state / "drift-one-9.safetensors", metadata=metadata)
    with serving(settings, issued):
        wait_until((state / "drift-one@9.safetensors").exists)
        result = oodguard("drift", "reset", "one@9", "--state", state)
    assert result.stdout.splitlines() == ["one 9: the reset is done"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["three"], "has no drift state of three, expected one of: one@10, one@9, two@1"),
        (["one@8"], "has no drift state of one@8, expected one of: one@10, one@9, two@1"),
        (["one", "--state", "/nope"], "/nope is not a folder, expected the state folder"),
        (["one", "--key-file", "k"], "--key-file is k, but --url is not set"),
        (["one", "--url", "localhost:8000"], "expected http://HOST:PORT or https://HOST"),
        (["one", "--url", "http://[::1"], "--url is http://[::1, expected"),
        (
            ["one", "--url", "http://127.0.0.1:1", "--key-file", "missing"],
            "--key-file missing cannot be read: No such file or directory",
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


@pytest.mark.parametrize(
    ("slug", "code"),
    [
        ("not-ready", ExitCode.UNREACHABLE),
        ("rate-limited", ExitCode.UNREACHABLE),
        ("drift-not-reset", ExitCode.INVALID),
    ],
)
def test_drift_reset_command_has_an_exit_code_for_a_service_that_may_answer_later(
    monkeypatch: pytest.MonkeyPatch, slug: str, code: ExitCode
) -> None:
    unreachable = oodguard("drift", "reset", "one", "--url", "http://127.0.0.1:1")
    assert unreachable.exit_code == ExitCode.UNREACHABLE
    assert "http://127.0.0.1:1 cannot be reached: Connection refused" in unreachable.stderr
    body = orjson.dumps({"type": f"/problems/{slug}", "detail": "DETAIL"})
    monkeypatch.setattr(drift_cli, "_post", lambda *_: (503, body))
    result = oodguard("drift", "reset", "one", "--url", "http://guard")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == "oodguard: http://guard returned 503: DETAIL\n"


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
