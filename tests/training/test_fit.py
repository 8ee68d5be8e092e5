"""Whole runs on real images: a seed repeats a run, and a cut run goes on as if it had not been."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.training.fit.fit import fit
from oodguard.training.fit.trainer import Tick
from oodguard.training.run_folder import Epoch, RunFolder
from oodguard.training.scoring.network import trained_network

DATA = Path(__file__).parents[1] / "data"


class Silent:
    """A watcher that stops the run, as a kill would, at a step of an epoch."""

    def __init__(self, *, stop_at: tuple[int, int] | None = None) -> None:
        self.stop_at = stop_at
        self.epochs: list[Epoch] = []
        self.warnings: list[str] = []

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        self.planned = (epochs, steps_per_epoch, done)

    def tick(self, epoch: int, tick: Tick) -> None:
        if (epoch, tick.step) == self.stop_at:
            raise KeyboardInterrupt

    def finish_epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def _run(folder: Path, text: str) -> dict[str, Tensor]:
    run = RunFolder.create(folder, text)
    return run.tensors(fit(run, Silent(), resume=False))


def _same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(
    tmp_path: Path, recipe_text: str
) -> None:
    one, two = _run(tmp_path / "one", recipe_text), _run(tmp_path / "two", recipe_text)
    other = _run(tmp_path / "other", recipe_text.replace("seed = 3", "seed = 4"))
    assert _same(one, two)
    assert not _same(one, other)


def test_a_run_cut_in_mid_epoch_goes_on_to_the_very_same_result(
    tmp_path: Path, recipe_text: str
) -> None:
    whole = _run(tmp_path / "whole", recipe_text)
    run = RunFolder.create(tmp_path / "cut", recipe_text)
    with pytest.raises(KeyboardInterrupt):
        fit(run, Silent(stop_at=(1, 2)), resume=False)
    watcher = Silent()
    resumed = RunFolder.resume(tmp_path / "cut", recipe_text)
    progress = fit(resumed, watcher, resume=True)
    assert watcher.planned == (2, 4, 1)
    assert [epoch.epoch for epoch in watcher.epochs] == [1]
    assert [epoch.epoch for epoch in progress.epochs] == [0, 1]
    assert _same(resumed.tensors(progress), whole)


def test_plain_training_needs_neither_outliers_nor_attack(tmp_path: Path, recipe_text: str) -> None:
    kept = [
        part
        for part in recipe_text.replace('"aloe"', '"standard"').split("\n\n")
        if not part.startswith(("[outliers]", "[attack]"))
    ]
    run = RunFolder.create(tmp_path, "\n\n".join(kept))
    progress = fit(run, Silent(), resume=False)
    assert progress.outlier_images == 0
    assert progress.epochs[1].loss < progress.epochs[0].loss


def test_a_batch_larger_than_the_data_is_refused(tmp_path: Path, recipe_text: str) -> None:
    text = recipe_text.replace("batch_size = 30", "batch_size = 121")
    with pytest.raises(RecipeError, match=r"schedule\.batch_size: 121 is more than the 120"):
        fit(RunFolder.create(tmp_path, text), Silent(), resume=False)


def test_a_loss_that_is_no_number_any_more_ends_the_run_and_keeps_its_checkpoint(
    tmp_path: Path, recipe_text: str
) -> None:
    run = RunFolder.create(tmp_path, recipe_text)
    with pytest.raises(KeyboardInterrupt):
        fit(run, Silent(stop_at=(1, 0)), resume=False)
    (tmp_path / "recipe.toml").write_text(
        recipe_text.replace("epochs = 2", "epochs = 2\npeak_rate = 1e30")
    )
    with pytest.raises(RecipeError, match=r"epoch 2: the loss is (nan|inf), a number was wanted"):
        fit(run, Silent(), resume=True)
    assert len(run.progress().epochs) == 1


def test_bfloat16_learns_too(tmp_path: Path, recipe_text: str) -> None:
    text = recipe_text.replace('"float32"', '"bfloat16"').replace("epochs = 2", "epochs = 4")
    progress = fit(RunFolder.create(tmp_path, text), Silent(), resume=False)
    assert progress.epochs[-1].loss < progress.epochs[0].loss


HALF_HELD = """
from torch import nn

class HalfHeld(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.held = nn.Linear(3, 4).requires_grad_(False)
        self.head = nn.Linear(4, outputs)

    def features(self, images):
        return self.held(images.mean((2, 3)))

    def forward(self, images):
        return self.head(self.features(images))
"""


def test_a_users_network_trains_and_resumes_though_a_part_of_it_is_held(
    tmp_path: Path, recipe_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_half_held_net.py").write_text(HALF_HELD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    text = recipe_text.replace('"resnet8"\nwidth = 4', '"a_half_held_net:HalfHeld"')
    whole = _run(tmp_path / "whole", text)
    run = RunFolder.create(tmp_path / "cut", text)
    with pytest.raises(KeyboardInterrupt):
        fit(run, Silent(stop_at=(1, 2)), resume=False)
    assert _same(run.tensors(fit(run, Silent(), resume=True)), whole)
    assert "momentum.head.weight" in whole
    assert "momentum.held.weight" not in whole


def test_outliers_that_are_inliers_as_well_are_left_out_with_a_warning(
    tmp_path: Path, recipe_text: str
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(DATA / "outliers", pool)
    plain = len(list(pool.iterdir()))
    for copied in sorted((DATA / "cifar10" / "cat").glob("*.png"))[:3]:
        shutil.copy(copied, pool / f"cat-{copied.name}")
    watcher = Silent()
    text = recipe_text.replace(str(DATA / "outliers"), str(pool))
    progress = fit(RunFolder.create(tmp_path / "run", text), watcher, resume=False)
    assert progress.outlier_images == plain
    (said,) = watcher.warnings
    assert f"3 of the {plain + 3} images of pool are inliers as well" in said


def test_a_checkpoint_of_another_network_is_not_gone_on_from(
    tmp_path: Path, recipe_text: str
) -> None:
    run = RunFolder.create(tmp_path, recipe_text)
    with pytest.raises(KeyboardInterrupt):
        fit(run, Silent(stop_at=(1, 0)), resume=False)
    (tmp_path / "recipe.toml").write_text(recipe_text.replace("width = 4", "width = 8"))
    with pytest.raises(CheckpointError, match="is of another network than the recipe's: it has"):
        fit(run, Silent(), resume=True)
    with pytest.raises(CheckpointError, match=r"epoch-001\.safetensors is of another network"):
        trained_network(run, classes=10)
