"""Whole runs on real images: a seed repeats a run, and a cut run goes on as if it had not been."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.errors import RecipeError
from training.checkpoint import Epoch, RunFolder
from training.fit import fit
from training.loop import Tick


class Silent:
    """A watcher that stops the run, as a kill would, at a step of an epoch."""

    def __init__(self, *, stop_at: tuple[int, int] | None = None) -> None:
        self.stop_at = stop_at
        self.epochs: list[Epoch] = []

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        self.planned = (epochs, steps_per_epoch, done)

    def tick(self, epoch: int, tick: Tick) -> None:
        if (epoch, tick.step) == self.stop_at:
            raise KeyboardInterrupt

    def finish_epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


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


def test_bfloat16_learns_too(tmp_path: Path, recipe_text: str) -> None:
    text = recipe_text.replace('"float32"', '"bfloat16"').replace("epochs = 2", "epochs = 4")
    progress = fit(RunFolder.create(tmp_path, text), Silent(), resume=False)
    assert progress.epochs[-1].loss < progress.epochs[0].loss
