"""Catastrophic overfitting with scripted validation results in otherwise real runs."""

from pathlib import Path

import pytest
from torch import nn

from oodguard.models.errors import RecipeError
from oodguard.training.config.attack import AttackSettings
from oodguard.training.config.recipe import Recipe
from oodguard.training.fit.catastrophic_overfitting import strengthen
from oodguard.training.fit.fit import fit
from oodguard.training.fit.robust_validation import RobustValidation, ValidationResult
from oodguard.training.objectives import OBJECTIVES
from oodguard.training.run_folder import RunFolder
from tests.training.fit.observers import RecordingObserver, is_same
from tests.training.recipes import RECIPE

TEXT = RECIPE.replace("epochs = 2", "epochs = 4")
INTACT, DOUBTFUL, LOST = 0.9, 0.6, 0.1  # for 20 images the margin is 0.45, half of it 0.22


def _script(monkeypatch: pytest.MonkeyPatch, *attacked: float) -> None:
    values = iter(attacked)

    def next_result(_validation: RobustValidation, _network: nn.Module) -> ValidationResult:
        return ValidationResult(accuracy=0.9, attacked_accuracy=next(values), attacked_auroc=None)

    monkeypatch.setattr(RobustValidation, "__call__", next_result)


def test_catastrophic_overfitting_is_rolled_back_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _script(monkeypatch, INTACT, INTACT, LOST, INTACT, INTACT)
    run = RunFolder.create(tmp_path, TEXT)
    observer = RecordingObserver(run=run)
    progress = fit(run, observer, resume=False)
    assert observer.started_epochs == [0, 1, 2, 2, 3]
    ((checkpoint, tensors),) = observer.checkpoints_at_warnings
    assert [epoch.epoch for epoch in checkpoint.epochs] == [0, 1]
    assert is_same(tensors, observer.tensors_before[2])
    (warning,) = observer.warnings
    assert "epoch 3: catastrophic overfitting: attacked accuracy fell from 0.900" in warning
    assert "Rolled back to the weights after epoch 2; the training attack is now" in warning
    assert "pgd, 2 steps of 0.625 epsilon (rollback 1 of at most 3)" in warning
    (entry,) = progress.rolled_back
    assert entry.kept == 2
    assert [epoch.attacked_accuracy for epoch in entry.lost] == [LOST]
    assert [epoch.attacked_accuracy for epoch in progress.epochs] == [INTACT] * 4
    every = (*progress.epochs, *entry.lost)
    assert progress.duration_s == pytest.approx(sum(epoch.duration_s for epoch in every))
    assert RunFolder(tmp_path).progress() == progress


@pytest.mark.parametrize("freeze", [0, 2])
def test_run_interrupted_after_a_rollback_resumes_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, freeze: int
) -> None:
    text = TEXT.replace("epochs = 4", f"epochs = 4\nfreeze = {freeze}")
    script = INTACT, INTACT, LOST, INTACT, INTACT
    _script(monkeypatch, *script)
    uninterrupted = RunFolder.create(tmp_path / "uninterrupted", text)
    last = fit(uninterrupted, RecordingObserver(), resume=False)
    _script(monkeypatch, *script)
    interrupted = RunFolder.create(tmp_path / "interrupted", text)
    with pytest.raises(KeyboardInterrupt):
        fit(interrupted, RecordingObserver(stop_after_warning=True), resume=False)
    _script(monkeypatch, INTACT, INTACT)
    resumed = fit(interrupted, RecordingObserver(), resume=True)
    assert is_same(interrupted.tensors(resumed), uninterrupted.tensors(last))
    assert len(resumed.rolled_back) == 1


def test_rollback_skips_the_weights_of_a_doubtful_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _script(monkeypatch, INTACT, INTACT, DOUBTFUL, LOST, INTACT, INTACT)
    run = RunFolder.create(tmp_path, TEXT)
    observer = RecordingObserver(run=run)
    files: list[set[str]] = []
    monkeypatch.setattr(observer, "finish_epoch", lambda _: files.append(_tensor_files(tmp_path)))
    progress = fit(run, observer, resume=False)
    assert files[3] == {"epoch-002.safetensors", "epoch-003.safetensors"}  # before the rollback
    assert files[4] == {"epoch-002.safetensors"}
    assert is_same(observer.checkpoints_at_warnings[0][1], observer.tensors_before[2])
    assert [epoch.epoch for epoch in progress.rolled_back[0].lost] == [2, 3]
    assert _tensor_files(tmp_path) == {"epoch-004.safetensors"}


def _tensor_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.safetensors")}


def test_each_rollback_strengthens_the_attack_until_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def record(recipe: Recipe) -> object:
        assert recipe.attack is not None
        steps.append(recipe.attack.steps)
        return OBJECTIVES["aloe"](recipe)

    monkeypatch.setattr("oodguard.training.objectives.OBJECTIVES", {"aloe": record})
    _script(monkeypatch, INTACT, INTACT, *([LOST] * 4))
    run = RunFolder.create(tmp_path, TEXT)
    with pytest.raises(RecipeError, match=r"epoch 3: .* after 3 rollbacks.* more attack\.steps"):
        fit(run, RecordingObserver(), resume=False)
    assert steps == [1, 2, 4, 8]
    assert [entry.kept for entry in run.progress().rolled_back] == [2, 2, 2]


def test_run_without_catastrophic_overfitting_is_not_rolled_back(tmp_path: Path) -> None:
    observer = RecordingObserver()
    progress = fit(RunFolder.create(tmp_path, TEXT), observer, resume=False)
    assert observer.started_epochs == [0, 1, 2, 3]
    assert (observer.warnings, progress.rolled_back, progress.good) == ([], (), 4)
    assert all(0 <= (epoch.attacked_auroc or -1) <= 1 for epoch in progress.epochs)


def test_progress_file_without_rollback_fields_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(tmp_path, TEXT)
    _script(monkeypatch, INTACT, INTACT)
    with pytest.raises(StopIteration):
        fit(run, RecordingObserver(), resume=False)
    (tmp_path / "progress.json").write_text(
        run.progress().model_dump_json(exclude={"good", "rolled_back", "started_from"})
    )
    _script(monkeypatch, LOST, INTACT, INTACT)
    progress = fit(run, RecordingObserver(), resume=True)
    assert [entry.kept for entry in progress.rolled_back] == [2]


def test_strengthened_attack_doubles_the_steps_and_halves_their_size() -> None:
    attack = AttackSettings(
        kind="n-fgsm", epsilon_255=4, outlier_epsilon_255=8, step_size=1.0, ramp=0.3
    )
    assert strengthen(attack, 0) == attack
    assert strengthen(attack, 2) == AttackSettings(
        kind="pgd", epsilon_255=4, outlier_epsilon_255=8, steps=4, step_size=0.25, ramp=0.3
    )
    many = AttackSettings(epsilon_255=8, steps=80, step_size=0.5)
    assert strengthen(many, 1).steps == 100  # the maximum of a recipe
