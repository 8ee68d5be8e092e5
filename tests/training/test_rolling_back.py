"""Planted collapses: what is watched is scripted, everything else is a real run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from oodguard.models.errors import RecipeError
from oodguard.training.cli.progress import ProgressBar
from oodguard.training.config.recipe import Recipe
from oodguard.training.fit.fit import fit
from oodguard.training.fit.robust_validation import RobustValidation, ValidationResult
from oodguard.training.fit.trainer import Tick
from oodguard.training.objectives import OBJECTIVES
from oodguard.training.run_folder import Epoch, Progress, RunFolder

INTACT, DOUBTFUL, COLLAPSED = 0.9, 0.6, 0.1  # of 20 images the margin is 0.45, half of it 0.22


def _script(monkeypatch: pytest.MonkeyPatch, *attacked: float) -> None:
    figures = iter(attacked)

    def next_figures(_watch: RobustValidation, _network: nn.Module) -> ValidationResult:
        return ValidationResult(accuracy=0.9, attacked_accuracy=next(figures), attacked_auroc=None)

    monkeypatch.setattr(RobustValidation, "__call__", next_figures)


class Looking:
    """A watcher that looks into the run's folder, and stops as a kill would where it is told."""

    def __init__(self, run: RunFolder, *, stop_after_warning: bool = False) -> None:
        self.run = run
        self.stop_after_warning = stop_after_warning
        self.warnings: list[str] = []
        self.begun: list[int] = []
        self.before: dict[int, dict[str, Tensor]] = {}
        self.at_warning: list[tuple[Progress, dict[str, Tensor]]] = []

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        self.planned = (epochs, steps_per_epoch, done)

    def tick(self, epoch: int, tick: Tick) -> None:
        if tick.step == 0:
            self.begun.append(epoch)
            if epoch > 0:
                self.before[epoch] = self.run.tensors(self.run.progress())
        elif self.warnings and self.stop_after_warning:
            raise KeyboardInterrupt

    def finish_epoch(self, epoch: Epoch) -> None:
        self.finished = epoch

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        progress = self.run.progress()
        self.at_warning.append((progress, self.run.tensors(progress)))


def _same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.fixture
def text(recipe_text: str) -> str:
    return recipe_text.replace("epochs = 2", "epochs = 4")


def test_a_collapse_is_undone_and_said(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _script(monkeypatch, INTACT, INTACT, COLLAPSED, INTACT, INTACT)
    run = RunFolder.create(tmp_path, text)
    watcher = Looking(run)
    progress = fit(run, watcher, resume=False)
    assert watcher.begun == [0, 1, 2, 2, 3]
    ((then, weights),) = watcher.at_warning
    assert [epoch.epoch for epoch in then.epochs] == [0, 1]
    assert _same(weights, watcher.before[2])
    (said,) = watcher.warnings
    assert "epoch 3: robustness has collapsed" in said
    assert "attacked accuracy fell from 0.900 to 0.100" in said
    assert "Rolled back to the weights after epoch 2; from here on training attacks with" in said
    assert "pgd, 2 steps of 0.625 epsilon (roll-back 1 of at most 3)" in said
    (entry,) = progress.rolled_back
    assert entry.kept == 2
    assert [epoch.attacked_accuracy for epoch in entry.lost] == [COLLAPSED]
    assert [epoch.attacked_accuracy for epoch in progress.epochs] == [INTACT] * 4
    every = (*progress.epochs, *entry.lost)
    assert progress.duration_s == pytest.approx(sum(epoch.duration_s for epoch in every))
    assert RunFolder(tmp_path).progress() == progress


def test_a_run_cut_after_a_roll_back_goes_on_to_the_very_same_result(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = INTACT, INTACT, COLLAPSED, INTACT, INTACT
    _script(monkeypatch, *script)
    whole = RunFolder.create(tmp_path / "whole", text)
    last = fit(whole, Looking(whole), resume=False)
    _script(monkeypatch, *script)
    cut = RunFolder.create(tmp_path / "cut", text)
    with pytest.raises(KeyboardInterrupt):
        fit(cut, Looking(cut, stop_after_warning=True), resume=False)
    _script(monkeypatch, INTACT, INTACT)
    resumed = fit(cut, Looking(cut), resume=True)
    assert _same(cut.tensors(resumed), whole.tensors(last))
    assert len(resumed.rolled_back) == 1


def test_weights_of_a_doubtful_epoch_are_not_what_is_gone_back_to(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _script(monkeypatch, INTACT, INTACT, DOUBTFUL, COLLAPSED, INTACT, INTACT)
    run = RunFolder.create(tmp_path, text)
    watcher = Looking(run)
    there: list[set[str]] = []
    monkeypatch.setattr(watcher, "finish_epoch", lambda _: there.append(_tensor_files(tmp_path)))
    progress = fit(run, watcher, resume=False)
    assert there[3] == {"epoch-002.safetensors", "epoch-003.safetensors"}  # as epoch 4 is watched
    assert there[4] == {"epoch-002.safetensors"}
    assert _same(watcher.at_warning[0][1], watcher.before[2])
    assert [epoch.epoch for epoch in progress.rolled_back[0].lost] == [2, 3]
    assert _tensor_files(tmp_path) == {"epoch-004.safetensors"}


def _tensor_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.safetensors")}


def test_each_roll_back_trains_on_with_a_stronger_attack_until_there_are_too_many(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def noting(recipe: Recipe) -> object:
        assert recipe.attack is not None
        steps.append(recipe.attack.steps)
        return OBJECTIVES["aloe"](recipe)

    monkeypatch.setattr("oodguard.training.fit.trainer.OBJECTIVES", {"aloe": noting})
    _script(monkeypatch, INTACT, INTACT, *([COLLAPSED] * 4))
    run = RunFolder.create(tmp_path, text)
    with pytest.raises(RecipeError, match=r"epoch 3: .* after 3 roll-backs.* more attack\.steps"):
        fit(run, Looking(run), resume=False)
    assert steps == [1, 2, 4, 8]
    assert [entry.kept for entry in run.progress().rolled_back] == [2, 2, 2]


def test_a_healthy_run_is_not_rolled_back(tmp_path: Path, text: str) -> None:
    run = RunFolder.create(tmp_path, text)
    watcher = Looking(run)
    progress = fit(run, watcher, resume=False)
    assert watcher.begun == [0, 1, 2, 3]
    assert (watcher.warnings, progress.rolled_back, progress.good) == ([], (), 4)
    assert all(0 <= (epoch.attacked_auroc or -1) <= 1 for epoch in progress.epochs)


def test_a_run_of_before_the_guard_is_gone_on_with(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(tmp_path, text)
    _script(monkeypatch, INTACT, INTACT)
    with pytest.raises(StopIteration):
        fit(run, Looking(run), resume=False)
    (tmp_path / "progress.json").write_text(
        run.progress().model_dump_json(exclude={"good", "rolled_back", "started_from"})
    )
    _script(monkeypatch, COLLAPSED, INTACT, INTACT)
    assert [entry.kept for entry in fit(run, Looking(run), resume=True).rolled_back] == [2]


@pytest.fixture
def lines() -> Iterator[tuple[Console, ProgressBar]]:
    console = Console(width=200, force_terminal=False, record=True)
    with ProgressBar(console) as bar:
        yield console, bar


@pytest.mark.parametrize(("auroc", "shown"), [(0.8125, ", AUROC 0.812, 3 s"), (None, "50.0%, 3 s")])
def test_the_line_of_an_epoch_shows_the_watched_ranking(
    lines: tuple[Console, ProgressBar], auroc: float | None, shown: str
) -> None:
    console, bar = lines
    bar.finish_epoch(
        Epoch(
            epoch=0,
            loss=1.0,
            training_accuracy=0.5,
            accuracy=0.5,
            attacked_accuracy=0.5,
            attacked_auroc=auroc,
            duration_s=3.0,
        )
    )
    assert shown in console.export_text()
