"""The command `oodguard samples export`, on a folder and on a bucket."""

import errno
import io
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from oodguard.service.cli import app
from oodguard.service.sampling.stored import (
    class_folder,
)
from tests.service.full_disk import full_disk
from tests.service.sampling.conftest import Location
from tests.service.sampling.records import record, run


@pytest.mark.parametrize("to_stdout", [True, False])
def test_samples_export_writes_a_tar_archive(
    write: Callable[..., str], location: Location, tmp_path: Path, *, to_stdout: bool
) -> None:
    stem = write(1, record(1))
    write(2, record(2, decision="accept"))
    out = tmp_path / "samples.tar"
    chosen = ("--from", location.to, "--decision", "reject")
    result = run("export", "-" if to_stdout else out, *chosen)
    assert result.exit_code == 0
    assert to_stdout or out.stat().st_mode & 0o777 == 0o600
    data = result.stdout_bytes if to_stdout else out.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.mtime) == (f"red/{stem}.png", 1777636800)
        assert member.mode == 0o600
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == b"image"


@pytest.mark.parametrize("options", [[], ["--model", "none\x1b[2J"]])
def test_samples_export_prints_no_control_characters_of_a_model_name(
    write: Callable[..., str], location: Location, tmp_path: Path, options: list[str]
) -> None:
    for number, name in enumerate(["evil\x1b[2J\n\u202e", "tiny"]):
        write(number, record(number) | {"model": {"name": name, "version": "1", "sha256": "0"}})
    result = run("export", tmp_path / "out", "--from", location.to, *options)
    assert result.exit_code == 1
    assert "evil\\x1b[2J\\n\\u202e" in result.stderr
    assert all(char.isprintable() for char in result.stderr.removesuffix("\n"))


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("red", "red"),
        ("pick-up truck (old)", "pick-up truck (old)"),
        ("Kfz/Lkw", "Kfz%2FLkw"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("../../evil", "%2E.%2F..%2Fevil"),
        ("größe", "größe"),
        ("100%", "100%25"),
        ("a\\b:c\x00\n", "a%5Cb%3Ac%00%0A"),
    ],
)
def test_samples_export_encodes_labels_that_are_no_folder_name(label: str, expected: str) -> None:
    assert class_folder(label) == expected


@pytest.mark.parametrize("label", ["", "x" * 300])
def test_samples_export_omits_labels_that_cannot_be_a_folder_name(
    write: Callable[..., str], location: Location, tmp_path: Path, label: str
) -> None:
    write(1, record(1, label=label))
    result = run("export", tmp_path / "out", "--from", location.to)
    assert result.exit_code == 0
    assert "is omitted: the label has" in result.stderr


def test_samples_export_requires_a_model_if_there_are_several(
    write: Callable[..., str], location: Location, tmp_path: Path
) -> None:
    write(1, record(1))
    write(2, {**record(2), "model": {"name": "other", "version": "1"}})
    result = run("export", tmp_path / "out", "--from", location.to)
    assert result.exit_code == 1
    assert "several models (other, tiny)" in result.stderr
    assert not (tmp_path / "out").exists()
    chosen = run("export", tmp_path / "out", "--from", location.to, "--model", "other")
    assert "exported 1 of 2" in chosen.stderr


def test_samples_export_selects_a_model_by_name_or_version(
    write: Callable[..., str], location: Location, tmp_path: Path
) -> None:
    write(1, record(1))
    write(2, {**record(2), "model": {"name": "tiny", "version": "2"}})
    for unknown in ("tin", "tiny@3", "2"):
        result = run("export", tmp_path / "out", "--from", location.to, "--model", unknown)
        assert result.exit_code == 1
        assert f"--model is {unknown}, expected the model of a sample:" in result.stderr
        assert "tiny, tiny@1, tiny@2" in result.stderr
        assert not (tmp_path / "out").exists()
    for chosen, number in (("tiny", 2), ("tiny@2", 1)):
        result = run("export", tmp_path / chosen, "--from", location.to, "--model", chosen)
        assert f"exported {number} of 2" in result.stderr


@pytest.mark.parametrize("name", ["out", "out.tar"])
def test_samples_export_refuses_an_existing_output(
    write: Callable[..., str], location: Location, tmp_path: Path, name: str
) -> None:
    write(1, record(1))
    (tmp_path / name).touch()
    result = run("export", tmp_path / name, "--from", location.to)
    assert result.exit_code == 1
    assert f"{name} cannot be written: File exists" in result.stderr


def test_samples_export_reports_a_full_disk(
    write: Callable[..., str],
    location: Location,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in (1, 2):
        write(number, record(number), image=bytes(20_000))
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            app(["samples", "export", "-", "--from", location.to])
    assert ended.value.code == 1
    message = "oodguard: standard output cannot be written: No space left on device\n"
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("kind", ["show", "export folder", "export tar"])
def test_samples_commands_report_a_full_disk_and_leave_no_incomplete_file(
    write: Callable[..., str], location: Location, tmp_path: Path, kind: str
) -> None:
    stem = write(1, record(1), image=bytes(20_000))
    out = tmp_path / ("out.tar" if kind == "export tar" else "out")
    command = ("show", stem, "--out", out) if kind == "show" else ("export", out)
    with full_disk(15_000):
        result = run(*command, "--from", location.to)
    assert result.exit_code == 1
    assert result.stderr == f"oodguard: {out} cannot be written: File too large\n"
    assert not [each for each in tmp_path.glob("out*/**/*") if each.is_file()]
    assert out.exists() == (kind == "export folder")


def test_samples_export_leaves_no_incomplete_archive(
    write: Callable[..., str], location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(1, record(1))
    out = tmp_path / "samples.tar"

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tarfile.TarFile, "addfile", fail)
    result = run("export", out, "--from", location.to)
    assert result.exit_code == 1
    assert result.stderr == f"oodguard: {out} cannot be written: No space left on device\n"
    assert not out.exists()
