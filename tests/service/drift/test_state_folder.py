"""Processes that share a state folder do not replace each other's evidence."""

import os
from pathlib import Path

from oodguard.service.drift.drift_cli import reset_in_folder
from oodguard.service.drift.state_folder import StateFolder
from tests.e2e.conftest import wait_until
from tests.service.checks import ask
from tests.service.conftest import MakeClient


def test_state_folder_is_shared_by_none_and_used_again(tmp_path: Path) -> None:
    first, second, third = (StateFolder(tmp_path) for _ in range(3))
    paths = [tmp_path, tmp_path / "replica-2", tmp_path / "replica-3"]
    assert [each.path for each in (first, second, third)] == paths
    second.close()
    second.close()
    assert StateFolder(tmp_path).path == tmp_path / "replica-2"


def test_state_folder_lock_ends_with_the_process(tmp_path: Path) -> None:
    if (child := os.fork()) == 0:
        StateFolder(tmp_path)
        os._exit(0)
    os.waitpid(child, 0)
    assert StateFolder(tmp_path).path == tmp_path


def test_state_folder_that_cannot_be_locked_is_used_as_it_is(tmp_path: Path) -> None:
    assert StateFolder(tmp_path / "missing").path == tmp_path / "missing"
    (tmp_path / ".lock").mkdir()
    assert StateFolder(tmp_path).path == tmp_path


def test_replicas_keep_their_evidence_in_files_of_their_own_and_reset_it(
    make_client: MakeClient, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    clients = [make_client(state=folder) for _ in range(2)]
    for client in clients:
        ask(client)
    name = "drift-tiny@1.safetensors"
    # A thread saves the first state.
    wait_until(lambda: all((folder / each / name).exists() for each in (".", "replica-2")))
    assert reset_in_folder(folder, "tiny") == [
        "tiny 1: the reset is done",
        "tiny 1 of replica-2: the reset is done",
    ]
    for client in clients:
        client.__exit__()
    saved = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.safetensors"))
    assert saved == [name, f"replica-2/{name}"]
