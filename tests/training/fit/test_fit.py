"""Whole runs on real images: seeds, resume, data and networks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.models.networks.timm_network import import_timm
from oodguard.training.cli.train import initial_weights
from oodguard.training.fit.fit import fit
from oodguard.training.fit.trainer import StepResult, Trainer
from oodguard.training.run_folder import RunFolder
from oodguard.training.scoring.network import build_recipe_network, trained_network
from tests.training.fit.observers import RecordingObserver, is_same
from tests.training.recipes import DATA, RECIPE, parsed, with_network, without_tables


def _run(folder: Path, text: str) -> dict[str, Tensor]:
    run = RunFolder.create(folder, text)
    return run.tensors(fit(run, RecordingObserver(), resume=False))


def _interrupt(folder: Path, text: str, epoch: int, step: int) -> RunFolder:
    run = RunFolder.create(folder, text)
    with pytest.raises(KeyboardInterrupt):
        fit(run, RecordingObserver(stop_at=(epoch, step)), resume=False)
    return run


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    return _run(tmp_path_factory.mktemp("run"), RECIPE)


def test_seed_determines_the_run(tmp_path: Path, uninterrupted: dict[str, Tensor]) -> None:
    assert is_same(_run(tmp_path / "same", RECIPE), uninterrupted)
    other = _run(tmp_path / "other", RECIPE.replace("seed = 3", "seed = 4"))
    assert not is_same(other, uninterrupted)


def test_resumed_run_repeats_an_uninterrupted_one(
    tmp_path: Path, uninterrupted: dict[str, Tensor]
) -> None:
    _interrupt(tmp_path / "interrupted", RECIPE, 1, 2)
    observer = RecordingObserver()
    resumed = RunFolder.resume(tmp_path / "interrupted", RECIPE)
    progress = fit(resumed, observer, resume=True)
    assert observer.plan == (2, 4, 1)
    assert [epoch.epoch for epoch in observer.epochs] == [1]
    assert [epoch.epoch for epoch in progress.epochs] == [0, 1]
    assert is_same(resumed.tensors(progress), uninterrupted)


def test_standard_training_needs_neither_outliers_nor_attack(tmp_path: Path) -> None:
    text = without_tables(RECIPE.replace('"aloe"', '"standard"'), "outliers", "attack")
    run = RunFolder.create(tmp_path, text)
    progress = fit(run, RecordingObserver(), resume=False)
    assert progress.outlier_images == 0
    assert progress.epochs[1].loss < progress.epochs[0].loss


def test_loss_decreases_in_bfloat16(tmp_path: Path) -> None:
    text = RECIPE.replace('"float32"', '"bfloat16"').replace("epochs = 2", "epochs = 4")
    progress = fit(RunFolder.create(tmp_path, text), RecordingObserver(), resume=False)
    assert progress.epochs[-1].loss < progress.epochs[0].loss


def test_batch_size_beyond_the_training_images_is_an_error(tmp_path: Path) -> None:
    text = RECIPE.replace("batch_size = 30", "batch_size = 121")
    with pytest.raises(RecipeError, match=r"schedule\.batch_size is 121, expected at most 120"):
        fit(RunFolder.create(tmp_path, text), RecordingObserver(), resume=False)


def test_non_finite_loss_ends_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    run = _interrupt(tmp_path, RECIPE, 1, 0)
    (tmp_path / "recipe.toml").write_text(
        RECIPE.replace("epochs = 2", "epochs = 2\npeak_rate = 1e30")
    )
    with pytest.raises(RecipeError, match=r"epoch 2: the loss is (nan|inf), expected a finite"):
        fit(run, RecordingObserver(), resume=True)
    assert len(run.progress().epochs) == 1


@pytest.mark.parametrize("name", ["PartlyFrozen", "WithDropout"])
def test_custom_network_with_a_frozen_part_trains_and_resumes(tmp_path: Path, name: str) -> None:
    text = with_network(RECIPE, f"tests.training.fit.networks:{name}")
    uninterrupted = _run(tmp_path / "uninterrupted", text)
    run = _interrupt(tmp_path / "interrupted", text, 1, 2)
    assert is_same(run.tensors(fit(run, RecordingObserver(), resume=True)), uninterrupted)
    assert "momentum.head.weight" in uninterrupted
    assert "momentum.frozen.weight" not in uninterrupted


def test_frozen_epochs_train_the_head_only_and_resume_exactly(tmp_path: Path) -> None:
    settings = 'optimizer = "adamw"\npeak_rate = 0.01\nfreeze = 1\naverage_decay = 0'
    text = RECIPE.replace("epochs = 2", f"epochs = 2\n{settings}")
    torch.manual_seed(3)
    initial = build_recipe_network(parsed(text), classes=10).state_dict()
    uninterrupted = _run(tmp_path / "uninterrupted", text)
    run = _interrupt(tmp_path / "interrupted", text, 1, 2)
    first = run.tensors(run.progress())
    same = [name for name, t in initial.items() if torch.equal(t, first[f"network.{name}"])]
    assert set(initial) - set(same) == {"head.weight", "head.bias"}
    assert {key.partition(".")[0] for key in first if key.endswith("head.bias")} == {
        "network",
        "average",
        "average_gradient",
        "average_square",
        "optimizer_step",
    }
    resumed = run.tensors(fit(run, RecordingObserver(), resume=True))
    assert is_same(resumed, uninterrupted)
    assert all(
        resumed[key].item() == (8 if "head" in key else 4)  # an epoch has 4 steps
        for key in resumed
        if key.startswith("optimizer_step.")
    )


def test_run_of_a_timm_network_starts_from_weights_with_another_head(tmp_path: Path) -> None:
    tensors = import_timm().create_model("test_resnet", num_classes=7).state_dict()
    safetensors.torch.save_file(tensors, tmp_path / "weights.safetensors")
    text = with_network(RECIPE, "timm:test_resnet").replace("epochs = 2", "epochs = 1\nfreeze = 1")
    text = text.replace("[input]", f'weights = "{tmp_path}/weights.safetensors"\n\n[input]')
    observer = RecordingObserver()
    run = RunFolder.create(tmp_path / "run", text)
    progress = fit(run, observer, resume=False, start=initial_weights(run.recipe, None))
    assert progress.started_from is not None
    assert progress.started_from.name == "weights.safetensors"
    (note,) = observer.warnings
    assert "fc.weight (7x96, expected 10x96), fc.bias (7, expected 10)" in note
    trained = trained_network(run, classes=10).state_dict()
    assert torch.equal(trained["model.conv1.0.weight"], tensors["conv1.0.weight"])


def test_outliers_that_are_inliers_are_removed_with_a_warning(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(DATA / "outliers", pool)
    outliers = len(list(pool.iterdir()))
    for path in sorted((DATA / "cifar10" / "cat").glob("*.png"))[:3]:
        shutil.copy(path, pool / f"cat-{path.name}")
    observer = RecordingObserver()
    text = RECIPE.replace(str(DATA / "outliers"), str(pool))
    progress = fit(RunFolder.create(tmp_path / "run", text), observer, resume=False)
    assert progress.outlier_images == outliers
    (warning,) = observer.warnings
    assert f"removed 3 of the {outliers + 3} images of pool" in warning


def test_checkpoint_of_another_network_is_an_error(tmp_path: Path) -> None:
    run = _interrupt(tmp_path, RECIPE, 1, 0)
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("width = 4", "width = 8"))
    with pytest.raises(CheckpointError, match="the checkpoint's network does not fit the recipe"):
        fit(run, RecordingObserver(), resume=True)
    with pytest.raises(CheckpointError, match=r"epoch-001\.safetensors does not fit the recipe"):
        trained_network(run, classes=10)


def test_weights_that_are_not_finite_after_the_last_step_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of an epoch is measured before its last step."""
    step = Trainer.train_epoch

    def overflow(trainer: Trainer, number: int) -> Iterator[StepResult]:
        yield from step(trainer, number)
        if number == 1:
            next(trainer.network.parameters()).data.fill_(torch.inf)

    monkeypatch.setattr(Trainer, "train_epoch", overflow)
    run = RunFolder.create(tmp_path, RECIPE)
    with pytest.raises(RecipeError, match="epoch 2: weights contain NaN or infinity"):
        fit(run, RecordingObserver(), resume=False)
    assert len(run.progress().epochs) == 1
