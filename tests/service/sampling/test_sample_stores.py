import os
import resource
import time
from pathlib import Path

import pytest

from oodguard.service import s3_bucket
from oodguard.service.errors import SampleStoreError, SamplingError
from oodguard.service.sampling.s3_store import S3Store
from oodguard.service.sampling.stores import FolderStore, open_store
from tests.service.conftest import BUCKET
from tests.service.sampling.conftest import Location

NAME = "20260102T030405.000006Z-a.b_c-1-0.png"


def test_sample_store_lists_and_removes_files(location: Location) -> None:
    store = location.open()
    assert list(store.list_files()) == []
    store.put(NAME, b"first")
    store.put(NAME, b"second")
    store.put("other.json", b"{}")
    assert (location.folder / NAME).read_bytes() == store.get(NAME, 100) == b"second"
    assert sorted(store.list_files()) == [(NAME, 6), ("other.json", 2)]
    store.remove(NAME)
    assert list(store.list_files()) == [("other.json", 2)]
    with pytest.raises(SampleStoreError):
        store.get(NAME, 100)


def test_sample_store_ignores_removing_a_missing_file(location: Location) -> None:
    location.open().remove(NAME)


def test_sample_store_lists_several_pages(location: Location) -> None:
    store = location.open()
    location.folder.mkdir(parents=True, exist_ok=True)
    # S3 lists at most 1000 a page.
    for number in range(1001):
        (location.folder / f"{number}.png").write_bytes(b"x")
    assert len(list(store.list_files())) == 1001


def test_folder_store_is_accessible_to_the_owner_only(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "samples"), write=True)
    store.put(NAME, b"x")
    assert (tmp_path / "samples").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "samples" / NAME).stat().st_mode & 0o777 == 0o600


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def test_folder_store_removes_its_old_partial_files_only(tmp_path: Path) -> None:
    for name in (f"{NAME}.part", "other.part"):
        (tmp_path / name).write_bytes(b"hal")
        age(tmp_path / name, 70)
    young = NAME.replace("2026", "2027")
    (tmp_path / f"{young}.part").write_bytes(b"hal")  # another replica writes it
    FolderStore(tmp_path).prepare()
    assert {each.name for each in tmp_path.iterdir()} == {"other.part", f"{young}.part"}


@pytest.mark.parametrize("name", [".oodguard.part", f"{NAME}.part"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_folder_store_replaces_links_and_pipes_with_the_name_of_a_partial_file(
    tmp_path: Path, name: str, kind: str
) -> None:
    folder, target = tmp_path / "samples", tmp_path / "target"
    folder.mkdir()
    target.write_bytes(b"kept")
    store = FolderStore(folder)

    def plant() -> None:
        os.mkfifo(folder / name) if kind == "pipe" else (folder / name).symlink_to(target)

    plant()
    age(folder / name, 70)
    store.prepare()
    assert list(folder.iterdir()) == []
    plant()
    store.put(NAME, b"image")
    assert not (folder / NAME).is_symlink()
    assert store.get(NAME, 100) == b"image"
    assert target.read_bytes() == b"kept"


def test_folder_store_on_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = FolderStore(tmp_path)
    # The signal of an exceeded limit is ignored in Python: the write fails as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(SampleStoreError, match=rf"{NAME}\.part: File too large"):
            store.put(NAME, b"image")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_folder_store_renames_complete_files(
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


def test_folder_store_rejects_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SamplingError, match=r"cannot be written to .*/samples: Not a dir"):
        FolderStore(tmp_path / "file" / "samples").prepare()


def test_folder_store_fails_if_its_folder_is_removed(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "samples"), write=True)
    (tmp_path / "samples").rmdir()
    with pytest.raises(SampleStoreError, match="No such file"):
        store.put(NAME, b"x")
    with pytest.raises(SampleStoreError, match="No such file"):
        store.list_files()


@pytest.mark.parametrize("prefix", ["a%20b", "a#b", "a?b", "a b", "ä", "a[1]"])
def test_s3_store_takes_the_prefix_as_it_is_written(s3_folder: Path, prefix: str) -> None:
    S3Store(f"s3://{BUCKET}/{prefix}").put(NAME, b"x")
    assert (s3_folder / prefix / NAME).read_bytes() == b"x"
    assert list(S3Store(f"s3://{BUCKET}/{prefix}/").list_names()) == [NAME]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://a#b/guard", "the bucket is 'a#b', expected letters, digits, dots"),
        ("s3://user:key@samples", "the bucket is 'user:key@samples', expected letters"),
        ("s3://samples/../other", r"the prefix has a part '\.' or '\.\.'"),
    ],
)
def test_s3_store_refuses_a_url_that_names_another_place(url: str, message: str) -> None:
    with pytest.raises(
        SamplingError, match=f"The store of samples {url} cannot be used: {message}"
    ):
        S3Store(url)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(
            ("AWS_ENDPOINT_URL", value, "AWS_ENDPOINT_URL is '.*', expected http://HOST:PORT or")
            for value in (
                *("127.0.0.1:9000", "http://", "http:///x", "http://[::1", "http://a b"),
                *("http://127.0.0.1:x", "http://?", "http://\xe9:1", "http://user@host"),
            )
        ),
        ("AWS_ENDPOINT_URL", "http://me:secret@host", r"is 'http://\*\*\*@host', expected"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:99999", "expected a port of at most 65535"),
        ("AWS_REGION", "eu west", "AWS_REGION is 'eu west', expected a region such as eu-"),
        ("AWS_DEFAULT_REGION", "x@y", "AWS_DEFAULT_REGION is 'x@y', expected a region"),
        ("AWS_METADATA_ENDPOINT", "169.254.169.254", "AWS_METADATA_ENDPOINT is '169"),
        (
            "AWS_SECRET_ACCESS_KEY",
            "secret\n",
            "AWS_SECRET_ACCESS_KEY has a control character, such",
        ),
    ],
)
def test_s3_store_refuses_variables_with_which_the_store_would_panic(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SamplingError, match=message) as raised:
        S3Store("s3://samples/guard")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("value", ["http://127.0.0.1:9", "https://[::1]:9/s3", "HTTP://minio"])
def test_s3_store_takes_endpoints(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", value)
    S3Store("s3://samples/guard")


def test_s3_store_states_a_panic_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(s3_bucket, "_check_variables", lambda: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:99999")
    with pytest.raises(SampleStoreError, match="the store failed, check the AWS_"):
        list(S3Store("s3://samples/guard").list_names())


def test_s3_store_fails_for_a_missing_bucket(s3_folder: Path) -> None:
    assert s3_folder.name == BUCKET
    store = S3Store("s3://nowhere/guard")
    with pytest.raises(
        SampleStoreError, match=r"^s3://nowhere/guard: the bucket does not exist\. "
    ):
        store.put(NAME, b"x")
    with pytest.raises(SampleStoreError, match="the bucket does not exist"):
        list(store.list_names())


def test_s3_store_fails_if_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens on port 9 (discard).
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(SampleStoreError):
        S3Store("s3://samples").put(NAME, b"x")
