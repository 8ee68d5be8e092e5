import re
from pathlib import Path

import pytest

from oodguard.models.folder import put_in_place

OLD = {"a": b"old a", "b": b"old b"}
NEW = {"a": b"new a", "b": b"new b"}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def accept(_folder: Path) -> None:
    """Find nothing wrong."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put_in_place(tmp_path / "it", OLD, check=accept)
    return tmp_path / "it"


def is_alone(folder: Path) -> bool:
    return [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_new_files_replace_the_old_ones(folder: Path) -> None:
    put_in_place(folder, NEW, check=accept)
    assert content(folder) == NEW
    assert is_alone(folder)


def test_the_check_sees_the_new_files_while_the_old_ones_are_still_in_place(folder: Path) -> None:
    seen = []
    put_in_place(folder, NEW, check=lambda new: seen.append((content(new), content(folder))))
    assert seen == [(NEW, OLD)]


def test_a_check_that_fails_leaves_the_old_files(folder: Path) -> None:
    def refuse(_new: Path) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        put_in_place(folder, NEW, check=refuse)
    assert content(folder) == OLD
    assert is_alone(folder)


def test_a_disk_that_fills_up_leaves_the_old_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def fill_up(path: Path, data: bytes) -> int:
        if path.name == "b":
            write(path, data[:2])
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(OSError, match="No space left"):
        put_in_place(folder, NEW, check=accept)
    assert content(folder) == OLD
    assert is_alone(folder)


@pytest.mark.parametrize("stop", [OSError(5, "Input/output error"), KeyboardInterrupt("Ctrl-C")])
def test_a_stop_between_the_two_renames_brings_the_old_files_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    rename = Path.rename

    def stop_at_the_second(path: Path, target: Path) -> Path:
        if path.name == "new":
            assert not folder.exists()
            raise stop
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stop_at_the_second)
    with pytest.raises(type(stop), match=re.escape(str(stop))):
        put_in_place(folder, NEW, check=accept)
    assert content(folder) == OLD
    assert is_alone(folder)


def test_a_link_stays_and_its_target_is_replaced(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    put_in_place(link, NEW, check=accept)
    assert link.is_symlink()
    assert content(folder) == NEW


def test_files_can_be_read_by_those_that_the_umask_allows(folder: Path) -> None:
    plain = folder.parent / "plain"
    plain.mkdir()
    assert folder.stat().st_mode == plain.stat().st_mode
