"""The command `oodguard samples`, on a folder and on a bucket."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from oodguard.service.errors import SampleStoreError
from oodguard.service.sampling import samples_cli
from oodguard.service.sampling.stored import (
    MAX_RECORD_BYTES,
    find_samples,
    read_image,
    read_record,
)
from oodguard.service.sampling.stores import FolderStore
from tests.service.checks import post
from tests.service.conftest import MakeClient
from tests.service.pictures import BLACK, GREEN, RED, WHITE, encode, plain
from tests.service.sampling.conftest import Location
from tests.service.sampling.records import STEM, record, run


def test_samples_of_a_service_are_listed_shown_and_exported(
    make_client: MakeClient, location: Location, tmp_path: Path
) -> None:
    client = make_client(sample_rate=1, sample_accept_rate=1, sample_to=location.to)
    images = {"r1": WHITE, "r2": GREEN, "r3": BLACK, "r4": RED}
    for request_id, colour in images.items():
        post(client, encode(plain(colour)), **{"x-request-id": request_id})
    client.__exit__()

    listed = run("list", "--from", location.to)
    assert listed.exit_code == 0
    words = [line.split() for line in listed.stdout.splitlines()]
    # Newest first. Calibration scores are 1 to 250: brightness 255 has p = 1 / 251.
    assert [(row[0], row[1], row[4]) for row in words] == [
        ("accept", "0.6653", "red"),
        ("accept", "1.0000", "red"),
        ("accept", "0.6653", "green"),
        ("reject", "0.0040", "red"),
    ]
    assert [row[5].split("-")[1] for row in words] == ["r4", "r3", "r2", "r1"]
    assert "printed 4 of 4 samples" in listed.stderr
    rejected = run("list", "--from", location.to, "--decision", "reject")
    assert [line.split()[0] for line in rejected.stdout.splitlines()] == ["reject"]
    assert len(run("list", "--from", location.to, "--limit", 2).stdout.splitlines()) == 2

    shown = run("show", "r2-0", "--from", location.to)
    text, _, place = shown.stdout.strip().rpartition("\n")
    assert json.loads(text)["request_id"] == "r2"
    assert place == f"{location.to}/{words[2][5]}.png"
    out = tmp_path / "one.png"
    assert run("show", words[0][5], "--from", location.to, "--out", out).exit_code == 0
    assert out.read_bytes() == encode(plain(RED))
    assert out.stat().st_mode & 0o777 == 0o600

    folder = tmp_path / "exported"
    result = run("export", folder, "--from", location.to)
    assert result.exit_code == 0
    assert "exported 4 of 4 samples, of 2 classes" in result.stderr
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert files == {f"{row[4]}/{row[5]}.png" for row in words}
    with Image.open(folder / "green" / f"{words[2][5]}.png") as image:
        assert image.convert("RGB").getpixel((0, 0)) == GREEN


HOSTILE: Mapping[str, bytes | dict[str, Any]] = {
    "not JSON": b"{",
    "empty": b"",
    "not UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "deeply nested": b"[" * 100_000,
    "too large": b" " * (MAX_RECORD_BYTES + 1),
    "without a verdict": {"request_id": "r"},
    "a label that is no text": record(1, label=7),
    "an unknown decision": record(1, decision="maybe"),
    "half a character": json.dumps(record(1)).replace('"red"', '"\\ud800"').encode(),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_samples_with_an_invalid_record_are_reported_and_do_not_stop_the_others(
    write: Callable[..., str], location: Location, tmp_path: Path, content: bytes | dict[str, Any]
) -> None:
    bad, good = write(1, content), write(2, record(2))
    listed = run("list", "--from", location.to)
    assert listed.exit_code == 0
    first, second = listed.stdout.splitlines()
    assert first.endswith(good)
    assert second.startswith(f"unreadable  {bad}: ")
    result = run("export", tmp_path / "out", "--from", location.to)
    assert result.exit_code == 0
    assert f"{bad} is omitted" in result.stderr
    assert [path.name for path in (tmp_path / "out").rglob("*.*")] == [f"{good}.png"]
    shown = run("show", bad, "--from", location.to)
    assert (shown.exit_code, shown.stdout) == (1, "")


def test_samples_ignore_files_that_the_service_did_not_write(
    write: Callable[..., str], location: Location
) -> None:
    stem = write(1, record(1))
    folder = location.folder
    (folder / "\x1b[2J.json").write_bytes(b"{}")
    (folder / "README.md").write_bytes(b"")
    (folder / f"{STEM.format(2, 'r2')}.json").symlink_to("/etc/passwd")
    (folder / f"{STEM.format(3, 'r3')}.json").symlink_to(folder / "missing")
    os.mkfifo(folder / f"{STEM.format(4, 'r4')}.json")
    if not location.to.startswith("s3://"):
        (line,) = run("list", "--from", location.to).stdout.splitlines()
        assert line.endswith(stem)


@pytest.mark.parametrize("newest", [1, 2, 3, 100])
def test_samples_list_keeps_only_the_newest_names(
    write: Callable[..., str], location: Location, newest: int
) -> None:
    stems = [write(number, record(number)) for number in (3, 1, 5, 2, 4)]
    found = find_samples(location.open(), newest=newest)
    assert [each.stem for each in found.samples] == sorted(stems, reverse=True)[:newest]
    assert all(each.image == f"{each.stem}.png" for each in found.samples)
    assert found.total == 5


def test_samples_list_states_how_many_records_it_searched(
    write: Callable[..., str], location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples_cli, "MAX_READ", 2)
    for number in range(5):
        write(number, record(number, decision="reject" if number < 4 else "accept"))
    result = run("list", "--from", location.to, "--decision", "reject", "--limit", 2)
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == (
        f"oodguard: printed 1 of 5 samples in {location.to}, of which the newest 2 were searched\n"
    )
    everything = run("list", "--from", location.to, "--limit", 5)
    assert everything.stderr == f"oodguard: printed 5 of 5 samples in {location.to}\n"


def test_samples_do_not_follow_a_link_that_replaced_a_file(
    write: Callable[..., str], tmp_path: Path, location: Location
) -> None:
    """The file is replaced after the command has listed the folder."""
    stem = write(1, record(1))
    store = FolderStore(location.folder)
    (found,) = find_samples(store).samples
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    for name in found.files:
        (location.folder / name).unlink()
        (location.folder / name).symlink_to(secret)
    with pytest.raises(SampleStoreError, match="symbolic link"):
        read_record(store, found)
    with pytest.raises(SampleStoreError, match="symbolic link"):
        read_image(store, found)
    (location.folder / f"{stem}.json").unlink()
    os.mkfifo(location.folder / f"{stem}.json")
    with pytest.raises(SampleStoreError, match="not a regular file"):
        read_record(store, found)


def test_samples_list_shortens_long_labels(write: Callable[..., str], location: Location) -> None:
    stem = write(1, record(1, label="x" * 100_000))
    listed = run("list", "--from", location.to).stdout
    assert listed == f"reject  0.0040  tiny 1  {'x' * 100}...  {stem}\n"


def test_samples_print_no_control_characters_of_a_record(
    write: Callable[..., str], location: Location
) -> None:
    label = "\x1b[2J\n\u202eevil\x07"
    stem = write(1, record(1, label=label))
    listed = run("list", "--from", location.to).stdout
    assert listed == f"reject  0.0040  tiny 1  \\x1b[2J\\n\\u202eevil\\x07  {stem}\n"
    shown = run("show", stem, "--from", location.to).stdout
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert json.loads(shown.rpartition("}")[0] + "}")["verdict"]["label"] == label


def test_samples_commands_leave_the_store_unchanged(
    write: Callable[..., str], location: Location, tmp_path: Path
) -> None:
    write(1, record(1))
    # The service is about to rename it.
    partial = location.folder / f"{STEM.format(2, 'r2')}.png.part"
    partial.write_bytes(b"half")
    before = sorted(path.name for path in location.folder.iterdir())
    run("list", "--from", location.to)
    run("export", tmp_path / "out", "--from", location.to)
    assert sorted(path.name for path in location.folder.iterdir()) == before


def test_samples_show_names_the_candidates_if_a_name_is_ambiguous(
    write: Callable[..., str], location: Location
) -> None:
    stems = [write(1, record(1)), write(2, record(2))]
    result = run("show", "20260501", "--from", location.to)
    assert result.exit_code == 1
    assert "2 samples have '20260501' in their name, expected 1" in result.stderr
    assert all(stem in result.stderr for stem in stems)


def test_samples_commands_report_a_missing_folder() -> None:
    result = run("list", "--from", "/nowhere")
    assert result.exit_code == 1
    assert result.stderr == "oodguard: /nowhere: No such file or directory\n"
