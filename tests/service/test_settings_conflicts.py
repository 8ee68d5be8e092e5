"""Settings that cannot work together are refused, with both names, the values and the remedy."""

import os
from pathlib import Path
from typing import Any

import pytest

from oodguard.service.settings import Settings
from oodguard.service.settings_conflicts import conflicts


def test_settings_have_no_conflicts_by_default() -> None:
    assert conflicts(Settings()) == []


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (
            {"max_pending_bytes": 7, "max_body_bytes": 8},
            ["MAX_PENDING_BYTES is 7, below OODGUARD_MAX_BODY_BYTES, which is 8", "Raise"],
        ),
        (
            {"max_pending_images": 7, "max_images": 8},
            ["MAX_PENDING_IMAGES is 7, below OODGUARD_MAX_IMAGES, which is 8", "Raise"],
        ),
        (
            {"bundle": "/a", "models": "/b"},
            ["OODGUARD_BUNDLE is /a", "OODGUARD_MODELS is /b", "set one"],
        ),
        (
            {"shadow_share": 0.5},
            ["OODGUARD_SHADOW_SHARE is 0.5", "OODGUARD_SHADOW_MODEL is not set"],
        ),
        ({"shadow_model": "m"}, ["OODGUARD_SHADOW_MODEL is m", "OODGUARD_SHADOW_SHARE is 0"]),
        (
            {"shadow_model": "m", "default_model": "m", "shadow_share": 1},
            ["OODGUARD_SHADOW_MODEL and OODGUARD_DEFAULT_MODEL are both m"],
        ),
        (
            {"keys": "secret", "keys_file": "/k"},
            ["OODGUARD_KEYS_FILE is /k", "OODGUARD_KEYS is set as well"],
        ),
        (
            {"requests_per_minute": 9},
            ["OODGUARD_REQUESTS_PER_MINUTE is 9", "OODGUARD_KEYS_FILE", "are not set"],
        ),
        ({"sample_rate": 0.5}, ["OODGUARD_SAMPLE_RATE is 0.5", "OODGUARD_SAMPLE_TO is not set"]),
        (
            {"sample_accept_rate": 0.5},
            ["OODGUARD_SAMPLE_ACCEPT_RATE is 0.5", "OODGUARD_SAMPLE_TO is not set"],
        ),
        (
            {"sample_rate": 1, "sample_to": "s3://b", "sample_max_bytes": 7, "max_body_bytes": 8},
            ["OODGUARD_SAMPLE_MAX_BYTES is 7, below OODGUARD_MAX_BODY_BYTES, which is 8"],
        ),
        (
            {"max_delay_ms": 500, "timeout_s": 0.5},
            ["OODGUARD_MAX_DELAY_MS is 500", "OODGUARD_TIMEOUT_S, which is 0.5 s"],
        ),
        (
            {"threads": 2, "threads_per_run": 4},
            ["OODGUARD_THREADS_PER_RUN is 4", "OODGUARD_THREADS, which is 2"],
        ),
        (
            {"workers": 3, "threads_per_run": 2, "threads": 5},
            ["OODGUARD_WORKERS is 3, which need 6 threads", "OODGUARD_THREADS is 5"],
        ),
        (
            {"workers": 2, "device": "cuda"},
            ["OODGUARD_WORKERS is 2 and OODGUARD_DEVICE is cuda", "to 1 or auto"],
        ),
        ({"state": "/nope/state"}, ["OODGUARD_STATE is /nope/state", "create it"]),
    ],
)
def test_conflicting_settings_are_reported_with_names_values_and_remedy(
    given: dict[str, Any], parts: list[str]
) -> None:
    (conflict,) = conflicts(Settings(**given))
    for part in parts:
        assert part in conflict
    assert "secret" not in conflict


@pytest.mark.parametrize(
    "given",
    [
        {"bundle": "/a", "models": "/a"},  # as docker-compose.yml sets them
        {"shadow_model": "m", "default_model": "m@1", "shadow_share": 1},
        {"requests_per_minute": 9, "keys_file": "/k"},
        {"sample_to": "/nope"},
        {"threads_per_run": 4},
        {"workers": 3, "threads_per_run": 2, "threads": 6},
        {"workers": 1, "device": "cuda"},
        {"workers": "auto", "threads": 1, "device": "tensorrt"},
    ],
)
def test_compatible_settings_are_not_reported(given: dict[str, Any]) -> None:
    assert conflicts(Settings(**given)) == []


@pytest.mark.parametrize("field", ["state", "sample_to"])
def test_folder_that_cannot_be_written_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    given: dict[str, Any] = {"sample_rate": 1, "sample_to": "s3://b", field: str(tmp_path)}
    settings = Settings(**given)
    assert conflicts(settings) == []
    # root may write everywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    (conflict,) = conflicts(settings)
    assert f"OODGUARD_{field.upper()} is {tmp_path}, which this process (user" in conflict


@pytest.mark.parametrize("field", ["state", "sample_to"])
@pytest.mark.parametrize("inside", ["", "s", "s/t/u"])
def test_folder_in_a_bundle_is_reported(
    bundle_folder: Path, tmp_path: Path, field: str, inside: str
) -> None:
    folder = bundle_folder / inside
    link = tmp_path / "link"
    link.symlink_to(bundle_folder)
    for each in (folder, link / inside):
        given: dict[str, Any] = {"sample_rate": 1, "sample_to": "s3://b", field: str(each)}
        (conflict,) = conflicts(Settings(**given))
        assert f"OODGUARD_{field.upper()} is {each}, in the folder of the bundle" in conflict
        assert str(bundle_folder.resolve()) in conflict


def test_folder_without_access_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    # root may look up every path.
    monkeypatch.setattr(Path, "is_dir", refuse)
    (conflict,) = conflicts(Settings(state=tmp_path / "state"))
    assert "which is not a folder or not accessible" in conflict
    # The store reports it when it creates the folder.
    assert conflicts(Settings(sample_rate=1, sample_to=str(tmp_path / "samples"))) == []


def test_folder_below_a_manifest_of_other_software_is_not_reported(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    assert conflicts(Settings(sample_rate=1, sample_to=str(tmp_path / "samples"))) == []


def test_conflict_names_the_option_that_was_given() -> None:
    settings = Settings(bundle=Path("/a"), models=Path("/b"))
    (conflict,) = conflicts(settings, {"bundle": "--bundle"})
    assert conflict.startswith("--bundle is /a and OODGUARD_MODELS is /b")
