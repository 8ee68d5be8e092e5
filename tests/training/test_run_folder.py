import errno
import re
import resource
from pathlib import Path

import pytest
import torch

from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.training.fit.only_training import only_training
from oodguard.training.run_folder import RunFolder, check_resumable
from tests.training.recipes import RECIPE
from tests.training.runs import progress


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with one checkpoint."""
    run = RunFolder.create(tmp_path, RECIPE)
    run.save(progress(1), {"a": torch.zeros(2)})
    return run


def _assert_first_checkpoint(run: RunFolder) -> None:
    assert run.progress() == progress(1)
    assert run.tensors(progress(1))["a"].tolist() == [0, 0]


def test_checkpoint_is_loaded_and_replaces_older_tensors_and_their_evaluation(
    tmp_path: Path, run: RunFolder
) -> None:
    for name in ("evaluation", "evaluation-quick"):
        for ending in ("json", "md", "html"):
            (tmp_path / f"{name}.{ending}").write_text("{}")
    run.save(progress(2), {"a": torch.ones(2)})
    found = RunFolder(tmp_path).progress()
    assert found == progress(2)
    assert found.duration_s == 6.0
    assert run.tensors(found)["a"].tolist() == [1, 1]
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"recipe.toml", "progress.json", "epoch-002.safetensors"}


def test_full_disk_keeps_the_previous_checkpoint_and_no_partial_file(
    tmp_path: Path, run: RunFolder
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(CheckpointError, match=r"002\.safetensors: cannot write .* bytes: File"):
            run.save(progress(2), {"a": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _assert_first_checkpoint(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("call", [1, 2], ids=["tensors", "progress"])
def test_failed_fsync_keeps_the_previous_checkpoint(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    calls: list[int] = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*free disk space, then"):
        run.save(progress(2), {"a": torch.ones(2)})
    _assert_first_checkpoint(run)
    assert not list(tmp_path.glob(".*"))
    run.save(progress(2), {"a": torch.ones(2)})  # after space was freed
    assert run.tensors(run.progress())["a"].tolist() == [1, 1]
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


@pytest.mark.usefixtures("run")
def test_folder_with_a_run_is_not_overwritten(tmp_path: Path) -> None:
    check_resumable(tmp_path)
    with pytest.raises(RecipeError, match="already contains a run: continue it with --resume"):
        RunFolder.create(tmp_path, RECIPE)
    with pytest.raises(RecipeError, match="differs from the given recipe"):
        RunFolder.resume(tmp_path, RECIPE.replace("seed = 3", "seed = 4"))


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("given", "difference"),
    [
        (RECIPE.replace("seed = 3", "seed = 4"), "seed is 4 (recorded: 3)"),
        (
            RECIPE.replace("seed = 3", f'seed = "{"x" * 200}"'),
            f"seed is '{'x' * 37}...{'x' * 38}' (recorded: 3)",
        ),
        (RECIPE.replace("epochs = 2", "epochs = 2.0"), "schedule.epochs is 2.0 (recorded: 2)"),
        (RECIPE.replace("seed = 3\n", ""), "seed is not set (recorded: 3)"),
        (
            RECIPE.replace("epochs = 2", "epochs = 2\naverage_decay = true"),
            "schedule.average_decay is true (recorded: not set)",
        ),
        (
            f"a = 1\nb = 2\n{RECIPE.replace('seed = 3', 'seed = 4').replace('= 32', '= 48')}",
            "seed is 4 (recorded: 3); input.height is 48 (recorded: 32);"
            " input.width is 48 (recorded: 32); and 2 more",
        ),
        (
            f"a = {[*range(7), 8]}\n{RECIPE}",
            "a is [0, 1, 2, 3, 4, 5, 6, 8] (recorded: not set)",
        ),
        (f"{RECIPE}\n# a comment\n", "its text differs (comments or layout), but no key"),
    ],
)
def test_resume_with_another_recipe_names_the_keys_that_differ(
    tmp_path: Path, given: str, difference: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        RunFolder.resume(tmp_path, given)
    assert str(caught.value) == (
        f"{tmp_path / 'recipe.toml'} differs from the given recipe: {difference}. To resume, give"
        " the recipe unchanged; for a new run, choose another folder with --out"
    )


def test_resume_with_the_recipe_of_the_run_returns_it(tmp_path: Path, run: RunFolder) -> None:
    assert RunFolder.resume(tmp_path, RECIPE).recipe == run.recipe


def test_run_without_a_checkpoint_is_replaced(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, RECIPE)
    (tmp_path / "data.json").write_text("{}")
    corrected = RECIPE.replace("seed = 3", "seed = 4")
    assert RunFolder.create(tmp_path, corrected).recipe.seed == 4


def test_resume_without_a_checkpoint_states_to_repeat_the_command_without_it(
    tmp_path: Path,
) -> None:
    RunFolder.create(tmp_path, RECIPE)
    for folder, cause in (
        (tmp_path, "has no checkpoint, because no epoch was finished"),
        (tmp_path / "other", "does not exist"),
    ):
        expected = f"{folder} {cause}: there is nothing to continue. Repeat the command without"
        with pytest.raises(RecipeError, match=re.escape(expected)):
            check_resumable(folder)


def test_error_names_the_missing_or_damaged_file(tmp_path: Path, run: RunFolder) -> None:
    (tmp_path / "epoch-001.safetensors").write_bytes(b"short")
    with pytest.raises(RecipeError, match=r"epoch-001\.safetensors is damaged or missing"):
        run.tensors(run.progress())
    (tmp_path / "progress.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"progress\.json is damaged"):
        run.progress()
    (tmp_path / "progress.json").unlink()
    with pytest.raises(RecipeError, match="no checkpoint yet: run fit first"):
        run.progress()
    (tmp_path / "recipe.toml").unlink()
    with pytest.raises(
        RecipeError, match=r"is not the folder of a run: .*recipe\.toml: cannot read"
    ):
        _ = RunFolder(tmp_path).recipe


def test_discard_keeps_files_that_were_there_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    run = RunFolder.create(tmp_path, RECIPE)
    (tmp_path / "data.json").write_text("{}")
    (tmp_path / "logs").mkdir()
    run.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]
    assert (tmp_path / "recipe.toml").read_text() == RECIPE


@pytest.mark.parametrize(
    ("name", "found"), [("data.json", "data.json"), ("recipe.toml", "another recipe.toml")]
)
def test_folder_with_other_files_of_these_names_is_not_a_run(
    tmp_path: Path, name: str, found: str
) -> None:
    (tmp_path / name).write_text("# my own")
    with pytest.raises(RecipeError, match=f"is not a run: it contains {found}. It was not changed"):
        RunFolder.create(tmp_path, RECIPE)
    assert (tmp_path / name).read_text() == "# my own"


def test_checkpoint_with_nan_is_an_error(tmp_path: Path, run: RunFolder) -> None:
    run.save(progress(2), {"a": torch.ones(2), "b": torch.tensor([1, torch.nan])})
    with pytest.raises(RecipeError, match="1 of 2 tensors contain NaN or infinity, the first b"):
        RunFolder(tmp_path).tensors(progress(2))


def test_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    with only_training(tmp_path):
        with pytest.raises(RecipeError, match="another process trains this run"):  # noqa: SIM117
            with only_training(tmp_path):
                pass
        with only_training(tmp_path / "other"):
            pass
    with only_training(tmp_path):
        assert not list(tmp_path.iterdir())
