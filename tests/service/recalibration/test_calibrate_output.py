"""`oodguard calibrate` writes a whole bundle at a new path, or nothing."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from oodguard.models.bundle import Bundle, open_bundle, write_bundle
from oodguard.service.recalibration import recalibrate
from tests.service.recalibration.calibrate import message, run
from tests.service.tiny import write_tiny


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("option", ["--data", "--out"])
def test_calibrate_names_a_path_that_is_too_long(
    bundle_folder: Path, pictures: Path, out: Path, option: str
) -> None:
    arguments = {"--data": pictures, "--out": out} | {option: out.parent / ("a" * 300)}
    given = [each for pair in arguments.items() for each in pair]
    assert "aaa: cannot be read or written: File name too long" in message(
        run("calibrate", bundle_folder, *given)
    )


def test_calibrate_writes_names_that_are_not_unicode(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    result = run("calibrate", bundle_folder, "--data", pictures, "--out", out, "--by", "a\udcff")
    assert result.exit_code == 0, result.output
    record = open_bundle(out).manifest.calibration
    assert record is not None
    assert record.by == r"a\udcff"


def test_calibrate_needs_a_version_if_the_next_one_is_too_long(
    pictures: Path, out: Path, tmp_path: Path
) -> None:
    write_tiny(tmp_path / "long", version="1" * 30)
    text = message(run("calibrate", tmp_path / "long", "--data", pictures, "--out", out))
    assert "is too long. Give the new one with --version" in text


def test_calibrate_does_not_replace_a_bundle_that_is_written_meanwhile(
    bundle_folder: Path, pictures: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(folder: Path, **parts: Any) -> Bundle:
        write_tiny(out, version="7")
        return write_bundle(folder, **parts)

    monkeypatch.setattr(recalibrate, "write_bundle", late)
    text = message(run("calibrate", bundle_folder, "--data", pictures, "--out", out))
    assert f"{out} exists, expected a new folder" in text
    assert open_bundle(out).manifest.version == "7"


def test_calibrate_never_writes_into_the_bundle_or_over_anything(
    bundle_folder: Path, pictures: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    write_tiny(other, version="7")
    before = files(bundle_folder), files(other)
    for out in (bundle_folder, other, tmp_path / "link"):
        if out.name == "link":
            out.symlink_to(tmp_path / "nowhere")
        text = message(run("calibrate", bundle_folder, "--data", pictures, "--out", out))
        assert "exists, expected a new folder" in text
    for inside in (bundle_folder / "new" / "one", other / "new"):
        text = message(run("calibrate", bundle_folder, "--data", pictures, "--out", inside))
        assert "is in the folder of a bundle, expected another place" in text
    assert (files(bundle_folder), files(other)) == before


def test_calibrate_on_a_full_disk_leaves_nothing(
    bundle_folder: Path, pictures: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "calibration.safetensors":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    text = message(run("calibrate", bundle_folder, "--data", pictures, "--out", out))
    assert "the bundle cannot be written: No space left on device. Free disk space" in text
    assert sorted(path.name for path in out.parent.iterdir()) == ["recent", "tiny"]
    assert run("verify", bundle_folder).exit_code == 0
