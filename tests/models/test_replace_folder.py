import re
from pathlib import Path

import pytest

from oodguard.models.replace_folder import replace_folder

OLD = {"a": b"old a", "b": b"old b"}
NEW = {"a": b"new a", "b": b"new b"}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def accept(_folder: Path) -> None:
    """Accept any folder."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    replace_folder(tmp_path / "it", OLD, check=accept)
    return tmp_path / "it"


def is_alone(folder: Path) -> bool:
    return [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_replace_folder_replaces_all_files(folder: Path) -> None:
    replace_folder(folder, NEW, check=accept)
    assert content(folder) == NEW
    assert is_alone(folder)


def test_replace_folder_checks_the_new_files_before_it_replaces_the_old_ones(folder: Path) -> None:
    seen = []
    replace_folder(folder, NEW, check=lambda new: seen.append((content(new), content(folder))))
    assert seen == [(NEW, OLD)]


def test_replace_folder_keeps_the_old_files_if_the_check_fails(folder: Path) -> None:
    def refuse(_new: Path) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        replace_folder(folder, NEW, check=refuse)
    assert content(folder) == OLD
    assert is_alone(folder)


def test_replace_folder_keeps_the_old_files_if_the_disk_is_full(
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
        replace_folder(folder, NEW, check=accept)
    assert content(folder) == OLD
    assert is_alone(folder)


@pytest.mark.parametrize("stop", [OSError(5, "Input/output error"), KeyboardInterrupt("Ctrl-C")])
def test_replace_folder_restores_the_old_files_if_the_second_rename_fails(
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
        replace_folder(folder, NEW, check=accept)
    assert content(folder) == OLD
    assert is_alone(folder)


def test_replace_folder_replaces_the_target_of_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    replace_folder(link, NEW, check=accept)
    assert link.is_symlink()
    assert content(folder) == NEW


def test_replace_folder_applies_the_umask(folder: Path) -> None:
    plain = folder.parent / "plain"
    plain.mkdir()
    assert folder.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_replace_folder_keeps_what_another_process_writes_meanwhile(
    tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "it"

    def other(_new: Path) -> None:
        if kind == "file":
            place.write_bytes(b"other")
        else:
            replace_folder(place, OLD, check=accept, replace=False)

    with pytest.raises(FileExistsError):
        replace_folder(place, NEW, check=other, replace=False)
    assert place.read_bytes() == b"other" if kind == "file" else content(place) == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
