"""A folder and a bucket keep files alike: whole, by name, and to be removed."""

from pathlib import Path

import pytest

from oodguard.service.errors import SampleStoreError, SamplingError
from oodguard.service.sampling.s3_store import S3Store
from oodguard.service.sampling.stores import FolderStore
from tests.service.samples.conftest import BUCKET, Place

NAME = "20260102T030405.000006Z-a.b_c-1-0.png"


def test_what_was_put_is_held_and_can_be_removed(place: Place) -> None:
    store = place.open()
    assert list(store.held()) == []
    store.put(NAME, b"first")
    store.put(NAME, b"second")
    store.put("other.json", b"{}")
    assert (place.folder / NAME).read_bytes() == b"second"
    assert sorted(store.held()) == [(NAME, 6), ("other.json", 2)]
    store.remove(NAME)
    assert list(store.held()) == [("other.json", 2)]


def test_removing_what_is_gone_is_no_failure(place: Place) -> None:
    place.open().remove(NAME)


def test_more_than_a_page_of_objects_is_listed(place: Place) -> None:
    store = place.open()
    place.folder.mkdir(parents=True, exist_ok=True)
    # S3 lists at most 1000 a page.
    for number in range(1001):
        (place.folder / f"{number}.png").write_bytes(b"x")
    assert len(list(store.held())) == 1001


def test_a_folder_and_its_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "looks")
    store.put(NAME, b"x")
    assert (tmp_path / "looks").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "looks" / NAME).stat().st_mode & 0o777 == 0o600


def test_what_a_killed_process_left_half_written_goes_and_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(b"hal")
    (tmp_path / "somebody-else-s.part").write_bytes(b"x")
    FolderStore(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["somebody-else-s.part"]


def test_a_file_is_moved_to_its_place_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[tuple[str, bytes]] = []
    replace = Path.replace

    def seen(path: Path, target: Path) -> Path:
        assert not target.exists()
        moved.append((target.name, path.read_bytes()))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", seen)
    FolderStore(tmp_path).put(NAME, b"whole")
    assert moved == [(NAME, b"whole")]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SamplingError, match=r"cannot be kept in .*/looks: Not a dir"):
        FolderStore(tmp_path / "file" / "looks")


def test_a_folder_that_went_away_is_a_failure_and_no_crash(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "looks")
    (tmp_path / "looks").rmdir()
    with pytest.raises(SampleStoreError, match="No such file"):
        store.put(NAME, b"x")
    with pytest.raises(SampleStoreError, match="No such file"):
        store.held()


def test_a_bucket_that_is_not_there_is_a_failure(s3_folder: Path) -> None:
    assert s3_folder.name == BUCKET
    store = S3Store("s3://nowhere/guard")
    with pytest.raises(SampleStoreError, match="nowhere"):
        store.put(NAME, b"x")


def test_a_store_that_nobody_answers_for_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 9 is discard, on which nothing listens.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(SampleStoreError):
        S3Store("s3://looks").put(NAME, b"x")
