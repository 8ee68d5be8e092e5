"""Networks by import string."""

import sys
from pathlib import Path

import pytest

from oodguard.models.errors import RecipeError
from oodguard.models.networks.classifier import Classifier
from oodguard.models.networks.imported import build_imported, is_import_string

SOURCE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, outputs, width=8):
        super().__init__()
        self.stem, self.head = nn.Linear(3, width), nn.Linear(width, outputs)

    def features(self, images):
        return self.stem(images.mean((2, 3)))

class NoHead(nn.Module):
    def features(self, images):
        return images.mean((2, 3))

def make(outputs):
    return Net(outputs)

def headless(outputs):
    return NoHead()

def bare(outputs):
    return nn.Linear(3, outputs)

def words(outputs):
    return "a network"

def leave(outputs):
    raise SystemExit(0)

NUMBER = 7
"""


@pytest.fixture(autouse=True)
def _user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "a_users_package"
    package.mkdir()
    (package / "nets.py").write_text(SOURCE, encoding="utf-8")
    (package / "broken.py").write_text("import not_installed_anywhere", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("a_users_package", "a_users_package.nets"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_import_string_calls_a_factory_in_the_current_folder() -> None:
    before = list(sys.path)
    by_default = build_imported("a_users_package.nets:make", 5, width=None)
    assert _head_shape(by_default) == (5, 8)
    wide = build_imported("a_users_package.nets:Net", 5, width=16)
    assert _head_shape(wide) == (5, 16)
    assert sys.path == before


def _head_shape(network: Classifier) -> tuple[int, ...]:
    return tuple(network.head.get_parameter("weight").shape)


@pytest.mark.parametrize(
    ("name", "width", "message"),
    [
        ("no_such_package:make", None, "cannot be imported: No module named 'no_such_package'"),
        ("a_users_package.broken:make", None, "No module named 'not_installed_anywhere'"),
        ("a_users_package.nets:none", None, r"nets\.py is missing, expected a function"),
        ("a_users_package.nets:NUMBER", None, r"nets\.py is int, expected a function"),
        ("a_users_package.nets:make", 16, r"called as make\(outputs, width\).* is given: too many"),
        ("a_users_package.nets:words", None, r"returned str, expected a torch\.nn\.Module"),
        ("a_users_package.nets:leave", None, r"raised SystemExit: 0 \(nets\.py, line 29\)"),
        ("a_users_package.nets:headless", None, "returned NoHead without head, a torch"),
        ("a_users_package.nets:bare", None, r"Linear without features\(images\).* and head"),
    ],
)
def test_import_string_errors_state_the_received_and_expected_value(
    name: str, width: int | None, message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        build_imported(name, 5, width=width)
    assert f"network.name: {name!r}" in str(caught.value)


def test_import_string_is_recognized_without_import() -> None:
    names = ["resnet8", "a:b:c", "a.b", ":b", "a:", "a-b:c", "a..b:c", "a/b:c"]
    assert not any(map(is_import_string, names))
    assert is_import_string("a_users_package.broken:make")
    assert "a_users_package.broken" not in sys.modules


def test_factory_of_a_file_is_called_and_may_import_its_neighbours(tmp_path: Path) -> None:
    before = list(sys.path)
    folder = tmp_path / "own networks"
    folder.mkdir()
    (folder / "parts_of_a_user.py").write_text(SOURCE, encoding="utf-8")
    (folder / "my-net.py").write_text("from parts_of_a_user import Net\n", encoding="utf-8")
    for name in ("own networks/my-net.py:Net", f"{folder}/my-net.py:Net"):
        assert is_import_string(name)
        assert _head_shape(build_imported(name, 5, width=None)) == (5, 8)
    assert sys.path == before
    with pytest.raises(RecipeError, match=r"'none\.py:Net': .*none\.py is not a file"):
        build_imported("none.py:Net", 5, width=None)
    with pytest.raises(RecipeError, match=r"'Other' in .*my-net\.py is missing, expected a func"):
        build_imported("own networks/my-net.py:Other", 5, width=None)
