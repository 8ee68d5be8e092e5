from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from oodguard.models.records import WRAPPED
from oodguard.training.config.methods import METHODS
from oodguard.training.objectives import OBJECTIVES
from oodguard.training.objectives.table import OBJECTIVE_TABLE, TableObjective
from oodguard.training.report.card import PURPOSE
from tests.training.objectives.known_network import (
    ADVERSARY,
    ATTACKED_INLIERS,
    ATTACKED_OUTLIER,
    BATCH,
    CLEAN_INLIERS,
    CLEAN_OUTLIER,
    UNIFORM,
    KnownNetwork,
    with_reject,
)

WEIGHT = 0.25


def _uniform(logits: Tensor) -> Tensor:
    return functional.cross_entropy(logits, UNIFORM)


def _log_confidence(logits: Tensor) -> Tensor:
    return functional.log_softmax(logits, dim=1).max()


def _objective(method: str) -> TableObjective:
    terms = OBJECTIVE_TABLE[method]
    attacked = terms.attack_inliers or terms.attack_outliers
    return TableObjective(
        terms=terms, adversary=ADVERSARY if attacked else None, outlier_weight=WEIGHT
    )


@pytest.mark.parametrize(
    ("method", "inliers", "outlier_loss", "passes"),
    [
        ("standard", CLEAN_INLIERS, 0, [2]),
        ("oe", CLEAN_INLIERS, _uniform(CLEAN_OUTLIER), [5]),
        ("adv", ATTACKED_INLIERS, 0, [2, 2, 2]),
        ("aoe", ATTACKED_INLIERS, _uniform(CLEAN_OUTLIER), [2, 2, 5]),
        ("aloe", ATTACKED_INLIERS, _uniform(ATTACKED_OUTLIER), [5, 5, 5]),
        ("acet", CLEAN_INLIERS, _log_confidence(ATTACKED_OUTLIER), [3, 3, 5]),
    ],
)
def test_table_objective_attacks_its_halves_and_adds_the_outlier_loss(
    method: str, inliers: Tensor, outlier_loss: Tensor, passes: list[int]
) -> None:
    network = KnownNetwork()
    step = _objective(method)(network, BATCH, torch.Generator().manual_seed(0))
    expected = functional.cross_entropy(inliers, BATCH.labels) + WEIGHT * outlier_loss
    torch.testing.assert_close(step.loss, expected)
    torch.testing.assert_close(step.inlier_logits, inliers)
    attack_passes = [(images, False) for images in passes[:-1]]
    assert network.passes == [*attack_passes, (passes[-1], True)]


def test_aloe_abstain_assigns_attacked_outliers_to_the_reject_class() -> None:
    network = KnownNetwork(reject_class=True)
    step = _objective("aloe-abstain")(network, BATCH, torch.Generator().manual_seed(0))
    inlier_loss = functional.cross_entropy(with_reject(ATTACKED_INLIERS), BATCH.labels)
    outlier_loss = functional.cross_entropy(with_reject(ATTACKED_OUTLIER), torch.tensor([2]))
    torch.testing.assert_close(step.loss, inlier_loss + WEIGHT * outlier_loss)
    torch.testing.assert_close(step.inlier_logits, ATTACKED_INLIERS)


def test_aloe_gradient_reaches_the_weights_and_not_the_pixels() -> None:
    network = KnownNetwork()
    _objective("aloe")(network, BATCH, torch.Generator().manual_seed(0)).loss.backward()
    assert network.weight.grad is not None
    assert network.weight.grad != 0
    assert BATCH.inliers.grad is None


def test_labels_are_smoothed_in_the_loss_but_not_in_the_attack() -> None:
    batch = replace(BATCH, smoothing=0.2)
    step = _objective("aloe")(KnownNetwork(), batch, torch.Generator().manual_seed(0))
    smooth = 0.8 * functional.one_hot(BATCH.labels, 2) + 0.2 / 2
    expected = functional.cross_entropy(ATTACKED_INLIERS, smooth)
    expected = expected + WEIGHT * _uniform(ATTACKED_OUTLIER)
    torch.testing.assert_close(step.loss, expected)


@pytest.mark.parametrize("method", OBJECTIVE_TABLE)
def test_table_requires_the_same_recipe_tables_as_the_method(method: str) -> None:
    terms = OBJECTIVE_TABLE[method]
    required = METHODS[method]
    assert (terms.outlier_loss is not None) == required.outliers
    assert (terms.attack_inliers or terms.attack_outliers) == required.attack
    assert terms.reject_class == required.reject_class


def test_every_method_has_an_objective_and_a_description_in_the_card() -> None:
    assert METHODS.keys() == OBJECTIVES.keys() == PURPOSE.keys() - {WRAPPED}
