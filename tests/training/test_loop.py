"""Single steps on images of noise, 16 pixels wide."""

import math

import pytest
import torch

from oodguard.training.config.methods import METHODS
from oodguard.training.config.recipe import Recipe, parse_recipe
from oodguard.training.data.dataset import ImageSet
from oodguard.training.fit.trainer import Data, Trainer
from oodguard.training.objectives.base import Batch, TrainingStep
from oodguard.training.objectives.table import OBJECTIVE_TABLE, TableObjective


def _recipe(text: str, method: str) -> Recipe:
    """Return the tiny recipe with another method and just the tables that it wants."""
    unwanted = [f"[{t}]" for t in ("outliers", "attack") if not getattr(METHODS[method], t)]
    kept = [part for part in text.split("\n\n") if part.split("\n")[0] not in unwanted]
    return parse_recipe("\n\n".join(kept).replace('"aloe"', f'"{method}"'), origin="tiny.toml")


def _noise(count: int) -> ImageSet:
    generator = torch.Generator().manual_seed(count)
    return ImageSet(
        name="noise",
        images=torch.randint(256, (count, 16, 16, 3), generator=generator, dtype=torch.uint8),
        labels=torch.arange(count) % 10,
        classes=tuple("abcdefghij"),
    )


DATA = Data(training=_noise(60), validation=_noise(20), outliers=_noise(90))


@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_every_method_moves_all_weights(recipe_text: str, method: str) -> None:
    trainer = Trainer(_recipe(recipe_text, method), DATA)
    before = [parameter.clone() for parameter in trainer.network.parameters()]
    tick = next(trainer.train_epoch(0))
    assert math.isfinite(tick.loss)
    for old, new in zip(before, trainer.network.parameters(), strict=True):
        assert not torch.equal(old, new)


def test_a_reject_class_is_no_answer_in_the_accuracy(recipe_text: str) -> None:
    trainer = Trainer(_recipe(recipe_text, "aloe-abstain"), DATA)
    head = trainer.average.get_submodule("head")
    assert isinstance(head, torch.nn.Linear)
    torch.nn.init.zeros_(head.weight)
    head.bias.copy_(torch.tensor([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2]))  # reject first, then class 3
    figures = trainer.watch(trainer.average)
    assert (figures.accuracy, figures.attacked_accuracy) == pytest.approx((0.1, 0.1))


class Noting:
    """Standard training that keeps the batches it was given."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def __call__(
        self, network: torch.nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        self.batches.append(batch)
        return TableObjective(terms=OBJECTIVE_TABLE["standard"])(network, batch, generator)


def test_a_batch_knows_how_far_the_run_is_and_how_labels_are_smoothed(recipe_text: str) -> None:
    text = recipe_text.replace("epochs = 2", "epochs = 2\nlabel_smoothing = 0.1")
    trainer = Trainer(_recipe(text, "aloe"), DATA)
    trainer.objective = noting = Noting()
    assert [len(list(trainer.train_epoch(epoch))) for epoch in range(2)] == [2, 2]
    assert [batch.progress for batch in noting.batches] == [0, 0.25, 0.5, 0.75]
    assert {batch.smoothing for batch in noting.batches} == {0.1}


def test_a_mining_method_is_given_its_pool(recipe_text: str) -> None:
    trainer = Trainer(_recipe(recipe_text, "atom"), DATA)
    trainer.objective = noting = Noting()
    next(trainer.train_epoch(0))
    assert len(noting.batches[0].outliers) == 90  # 120 were asked for, and there are no more


@pytest.mark.parametrize(("line", "decay"), [("", 0.0), ("\ndecay_all = true", 0.25)])
def test_biases_and_batch_norm_decay_only_if_asked(
    recipe_text: str, line: str, decay: float
) -> None:
    text = recipe_text.replace("epochs = 2", f"epochs = 2\nweight_decay = 0.25{line}")
    trainer = Trainer(_recipe(text, "aloe"), DATA)
    weights, others = trainer.optimizer.param_groups
    assert (weights["weight_decay"], others["weight_decay"]) == (0.25, decay)


def test_the_rate_anneals_to_its_floor(recipe_text: str) -> None:
    text = recipe_text.replace("epochs = 2", "epochs = 2\npeak_rate = 0.2\nfinal_rate = 0.2")
    trainer = Trainer(_recipe(text, "aloe"), DATA)
    rates = [trainer.optimizer.param_groups[0]["lr"] for _ in trainer.train_epoch(1)]
    assert rates == pytest.approx([0.2, 0.2])
