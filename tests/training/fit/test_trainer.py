"""Single steps on images of noise, 16 pixels wide."""

import math

import pytest
import torch

from oodguard.training.config.methods import METHODS
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.training_data import TrainingData
from oodguard.training.fit.trainer import Trainer
from oodguard.training.objectives.base import Batch, TrainingStep
from oodguard.training.objectives.table import OBJECTIVE_TABLE, TableObjective
from tests.training.recipes import RECIPE, parsed, without_tables


def _recipe(text: str, method: str) -> Recipe:
    """Return the tiny recipe with another method and without the tables that it does not use."""
    unused = [table for table in ("outliers", "attack") if not getattr(METHODS[method], table)]
    return parsed(without_tables(text, *unused).replace('"aloe"', f'"{method}"'))


def _noise(count: int) -> ImageSet:
    generator = torch.Generator().manual_seed(count)
    return ImageSet(
        name="noise",
        images=torch.randint(256, (count, 16, 16, 3), generator=generator, dtype=torch.uint8),
        labels=torch.arange(count) % 10,
        classes=tuple("abcdefghij"),
    )


DATA = TrainingData(training=_noise(60), validation=_noise(20), outliers=_noise(90))


@pytest.mark.parametrize("method", METHODS)
def test_step_of_every_method_changes_all_weights(method: str) -> None:
    trainer = Trainer(_recipe(RECIPE, method), DATA)
    before = [parameter.clone() for parameter in trainer.network.parameters()]
    result = next(trainer.train_epoch(0))
    assert math.isfinite(result.loss)
    for old, new in zip(before, trainer.network.parameters(), strict=True):
        assert not torch.equal(old, new)


def test_validation_accuracy_ignores_the_reject_class() -> None:
    trainer = Trainer(_recipe(RECIPE, "aloe-abstain"), DATA)
    head = trainer.average.get_submodule("head")
    assert isinstance(head, torch.nn.Linear)
    torch.nn.init.zeros_(head.weight)
    head.bias.copy_(torch.tensor([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2]))  # reject first, then class 3
    result = trainer.validation(trainer.average)
    assert (result.accuracy, result.attacked_accuracy) == pytest.approx((0.1, 0.1))


class RecordingObjective:
    """Standard training that records its batches."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def __call__(
        self, network: torch.nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        self.batches.append(batch)
        return TableObjective(terms=OBJECTIVE_TABLE["standard"])(network, batch, generator)


def test_batch_carries_progress_and_label_smoothing() -> None:
    text = RECIPE.replace("epochs = 2", "epochs = 2\nlabel_smoothing = 0.1")
    trainer = Trainer(_recipe(text, "aloe"), DATA)
    trainer.objective = objective = RecordingObjective()
    assert [len(list(trainer.train_epoch(epoch))) for epoch in range(2)] == [2, 2]
    assert [batch.progress for batch in objective.batches] == [0, 0.25, 0.5, 0.75]
    assert {batch.smoothing for batch in objective.batches} == {0.1}


def test_mining_method_receives_its_pool() -> None:
    trainer = Trainer(_recipe(RECIPE, "atom"), DATA)
    trainer.objective = objective = RecordingObjective()
    next(trainer.train_epoch(0))
    assert len(objective.batches[0].outliers) == 90  # all of them, fewer than a pool of 120


@pytest.mark.parametrize(("line", "decay"), [("", 0.0), ("\ndecay_all = true", 0.25)])
def test_biases_and_batch_norm_decay_only_with_decay_all(line: str, decay: float) -> None:
    text = RECIPE.replace("epochs = 2", f"epochs = 2\nweight_decay = 0.25{line}")
    trainer = Trainer(_recipe(text, "aloe"), DATA)
    weights, others = trainer.optimizer.param_groups
    assert (weights["weight_decay"], others["weight_decay"]) == (0.25, decay)


def test_learning_rate_uses_the_final_rate_of_the_recipe() -> None:
    text = RECIPE.replace("epochs = 2", "epochs = 2\npeak_rate = 0.2\nfinal_rate = 0.2")
    trainer = Trainer(_recipe(text, "aloe"), DATA)
    rates = [trainer.optimizer.param_groups[0]["lr"] for _ in trainer.train_epoch(1)]
    assert rates == pytest.approx([0.2, 0.2])
