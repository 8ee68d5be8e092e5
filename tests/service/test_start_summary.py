"""The summary at start states what is served, how and within which limits."""

import logging
from pathlib import Path

import pytest

from oodguard.service.start_summary import log_start
from tests.service.conftest import MakeClient


def test_start_summary_has_models_policy_workers_limits_keys_and_memory(
    make_client: MakeClient,
) -> None:
    client = make_client(max_images=17, decode_threads=3, threads=2)
    summary = client.app.state.summary  # type: ignore[attr-defined]
    (model,) = summary["models"]
    listed = client.get("/models").json()["models"][0]
    assert {name: model[name] for name in ("name", "version")} == {"name": "tiny", "version": "1"}
    for name in ("score", "alpha", "delta", "threshold"):
        assert model[name] == listed["policy"][name]
    assert model["provider"] == listed["providers"][0]
    assert summary["default"] == "tiny@1"
    assert summary["workers"] == {
        "processes": 1,
        "runs": 2,
        "threads_per_run": 1,
        "decode_threads": 3,
    }
    assert summary["limits"]["max_images"] == 17
    assert summary["keys"] == "off"
    memory = summary["memory_mb"]
    assert memory["total"] > memory["large_decodes"] > 10 * 25
    assert summary["memory_limit"]["mb"] >= memory["total"]


def test_start_summary_has_the_number_of_keys(make_secured: MakeClient) -> None:
    summary = make_secured().app.state.summary  # type: ignore[attr-defined]
    assert summary["keys"] == 3


def test_start_summary_has_policy_file_state_proxies_and_routes(
    make_client: MakeClient, tmp_path: Path
) -> None:
    summary = make_client().app.state.summary  # type: ignore[attr-defined]
    names = ("policy_file", "state", "root_path", "trusted_proxies", "admin", "detail")
    assert [summary[name] for name in names] == [None, None, None, [], False, "full"]
    policy = tmp_path / "policy.toml"
    given = {"policy": policy, "state": tmp_path, "root_path": "/g", "detail": "verdict"}
    summary = make_client(trusted_proxies="10.0.0.0/8", **given).app.state.summary  # type: ignore[attr-defined]
    assert [summary[name] for name in names] == [
        {"path": str(policy), "found": False},
        str(tmp_path),
        "/g",
        ["10.0.0.0/8"],
        False,
        "verdict",
    ]


def test_start_summary_is_one_event(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_start("http://127.0.0.1:1", {"version": "1"})
    (record,) = caplog.records
    assert record.getMessage() == "The service starts."
    assert vars(record)["fields"] == {"address": "http://127.0.0.1:1", "version": "1"}
