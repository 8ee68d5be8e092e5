import errno
import resource
from pathlib import Path

import pytest
import torch

from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.training.run_folder import Epoch, Progress, RunFolder


def _progress(number: int) -> Progress:
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
    return Progress(
        tensors=f"epoch-{number:03d}.safetensors",
        epochs=epochs,
        hardware="a machine",
        command="a command",
        libraries={},
        training_images=1,
        outlier_images=0,
    )


def test_what_was_saved_is_loaded_and_the_older_tensors_are_dropped(
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


def test_an_evaluation_does_not_outlive_the_weights_it_measured(
    tmp_path: Path, recipe_text: str
) -> None:
    run = RunFolder.create(tmp_path, recipe_text)
    run.save(_progress(1), {"a": torch.zeros(2)})
    (tmp_path / "evaluation.json").write_text("{}")
    run.save(_progress(2), {"a": torch.ones(2)})
    assert not (tmp_path / "evaluation.json").exists()


def test_a_full_disk_leaves_the_previous_checkpoint_and_no_half_file(
    tmp_path: Path, recipe_text: str
) -> None:
    run = RunFolder.create(tmp_path, recipe_text)
    run.save(_progress(1), {"a": torch.zeros(2)})
    before = sorted(path.name for path in tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(CheckpointError, match=r"002\.safetensors: .* cannot be written: File"):
            run.save(_progress(2), {"a": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _is_the_first(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("call", [1, 2], ids=["tensors", "progress"])
def test_a_disk_that_fills_at_the_very_end_leaves_the_previous_checkpoint(
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
    with pytest.raises(CheckpointError, match=r"No space left on device.*make room, then go on"):
        run.save(_progress(2), {"a": torch.ones(2)})
    _is_the_first(run)
    assert not list(tmp_path.glob(".*"))
    run.save(_progress(2), {"a": torch.ones(2)})  # there is room again
    assert run.tensors(run.progress())["a"].tolist() == [1, 1]
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def _is_the_first(run: RunFolder) -> None:
    progress = run.progress()
    assert progress == _progress(1)
    assert run.tensors(progress)["a"].tolist() == [0, 0]


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path, recipe_text: str) -> None:
    RunFolder.create(tmp_path, recipe_text).save(_progress(1), {"a": torch.zeros(2)})
    with pytest.raises(RecipeError, match="holds a run already: give --resume"):
        RunFolder.create(tmp_path, recipe_text)


def test_a_run_without_a_checkpoint_is_begun_anew_by_another_recipe(
    tmp_path: Path, recipe_text: str
) -> None:
    RunFolder.create(tmp_path, recipe_text)
    mended = recipe_text.replace("seed = 3", "seed = 4")
    assert RunFolder.create(tmp_path, mended).recipe.seed == 4


def test_a_run_is_resumed_by_its_own_recipe_only(tmp_path: Path, recipe_text: str) -> None:
    RunFolder.create(tmp_path, recipe_text)
    with pytest.raises(RecipeError, match="differs from the given recipe"):
        RunFolder.resume(tmp_path, recipe_text.replace("seed = 3", "seed = 4"))


def test_what_is_missing_or_damaged_is_named(tmp_path: Path, recipe_text: str) -> None:
    with pytest.raises(RecipeError, match="is no run"):
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
