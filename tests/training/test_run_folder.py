import errno
import resource
from pathlib import Path

import pytest
import torch

from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.training.run_folder import Epoch, RunFolder, RunProgress


def _progress(number: int) -> RunProgress:
    epochs = tuple(
        Epoch(
            epoch=index,
            loss=1.0,
            training_accuracy=0.5,
            accuracy=0.5,
            attacked_accuracy=0.25,
            duration_s=2.5,
        )
        for index in range(number)
    )
    return RunProgress(
        tensors=f"epoch-{number:03d}.safetensors",
        epochs=epochs,
        hardware="a machine",
        command="a command",
        libraries={},
        training_images=1,
        outlier_images=0,
    )


def test_checkpoint_is_loaded_and_older_tensors_are_deleted(
    tmp_path: Path, recipe_text: str
) -> None:
    run = RunFolder.create(tmp_path, recipe_text)
    run.save(_progress(1), {"a": torch.zeros(2)})
    run.save(_progress(2), {"a": torch.ones(2)})
    progress = RunFolder(tmp_path).progress()
    assert progress == _progress(2)
    assert progress.duration_s == 5.0
    assert run.tensors(progress)["a"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["epoch-002.safetensors"]


def test_evaluation_is_deleted_with_the_weights_it_measured(
    tmp_path: Path, recipe_text: str
) -> None:
    run = RunFolder.create(tmp_path, recipe_text)
    run.save(_progress(1), {"a": torch.zeros(2)})
    (tmp_path / "evaluation.json").write_text("{}")
    run.save(_progress(2), {"a": torch.ones(2)})
    assert not (tmp_path / "evaluation.json").exists()


def test_full_disk_keeps_the_previous_checkpoint_and_no_partial_file(
    tmp_path: Path, recipe_text: str
) -> None:
    run = RunFolder.create(tmp_path, recipe_text)
    run.save(_progress(1), {"a": torch.zeros(2)})
    before = sorted(path.name for path in tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(CheckpointError, match=r"002\.safetensors: cannot write .* bytes: File"):
            run.save(_progress(2), {"a": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _assert_first_checkpoint(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("call", [1, 2], ids=["tensors", "progress"])
def test_failed_fsync_keeps_the_previous_checkpoint(
    tmp_path: Path, recipe_text: str, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    run = RunFolder.create(tmp_path, recipe_text)
    run.save(_progress(1), {"a": torch.zeros(2)})
    calls: list[int] = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*free disk space, then"):
        run.save(_progress(2), {"a": torch.ones(2)})
    _assert_first_checkpoint(run)
    assert not list(tmp_path.glob(".*"))
    run.save(_progress(2), {"a": torch.ones(2)})  # after space was freed
    assert run.tensors(run.progress())["a"].tolist() == [1, 1]
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def _assert_first_checkpoint(run: RunFolder) -> None:
    progress = run.progress()
    assert progress == _progress(1)
    assert run.tensors(progress)["a"].tolist() == [0, 0]


def test_folder_with_a_run_is_not_overwritten(tmp_path: Path, recipe_text: str) -> None:
    RunFolder.create(tmp_path, recipe_text).save(_progress(1), {"a": torch.zeros(2)})
    with pytest.raises(RecipeError, match="already contains a run: continue it with --resume"):
        RunFolder.create(tmp_path, recipe_text)


def test_run_without_a_checkpoint_is_replaced(tmp_path: Path, recipe_text: str) -> None:
    RunFolder.create(tmp_path, recipe_text)
    corrected = recipe_text.replace("seed = 3", "seed = 4")
    assert RunFolder.create(tmp_path, corrected).recipe.seed == 4


def test_run_cannot_be_resumed_with_another_recipe(tmp_path: Path, recipe_text: str) -> None:
    RunFolder.create(tmp_path, recipe_text)
    with pytest.raises(RecipeError, match="differs from the given recipe"):
        RunFolder.resume(tmp_path, recipe_text.replace("seed = 3", "seed = 4"))


def test_error_names_the_missing_or_damaged_file(tmp_path: Path, recipe_text: str) -> None:
    with pytest.raises(RecipeError, match=r"is not the folder of a run: cannot read recipe\.toml"):
        _ = RunFolder(tmp_path).recipe
    run = RunFolder.create(tmp_path, recipe_text)
    with pytest.raises(RecipeError, match="no checkpoint yet: run fit first"):
        run.progress()
    run.save(_progress(1), {"a": torch.zeros(2)})
    (tmp_path / "epoch-001.safetensors").write_bytes(b"short")
    with pytest.raises(RecipeError, match=r"epoch-001\.safetensors is damaged or missing"):
        run.tensors(run.progress())
    (tmp_path / "progress.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"progress\.json is damaged"):
        run.progress()
