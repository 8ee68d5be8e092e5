"""Every score against pytorch-ood 0.4, up to the constants in which it states them otherwise."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from oodguard.models.scores import FITTED_SCORES, LOGIT_SCORES, SCORE_NAMES, unfitted_score
from oodguard.models.scores.base import ScoreOptions
from tests.models.scores.fits import fit
from tests.models.scores.golden.problem import GOLDEN, INPUTS, Problem

OPTIONS = ScoreOptions(temperature=2.0, knn_neighbour=5, vim_dimensions=2)
IMAGES, SEEN = INPUTS["images"], INPUTS["training_images"]
COUNT = len(SEEN)
# Theirs to ours: MSP is -max p, GEN a mean over 3 classes, and a covariance not divided by the
# number of images, of which Mahalanobis takes half.
CONSTANTS = {
    "msp": (1.0, 1.0),
    "gen": (3.0, 0.0),
    "mahalanobis": (2.0 * COUNT, 0.0),
    "relative_mahalanobis": (1.0 * COUNT, 0.0),
}

OTHER_ORACLES: Mapping[str, str] = {"abstain": "tests/models/scores/test_logit_scores.py"}
"""The scores that pytorch-ood lacks, and the test file with the values of another oracle."""


def _expected(name: str) -> Tensor:
    scale, shift = CONSTANTS.get(name, (1.0, 0.0))
    return scale * GOLDEN[name] + shift


@pytest.mark.parametrize("name", [name for name in LOGIT_SCORES if name not in OTHER_ORACLES])
def test_a_score_of_logits_is_pytorch_oods(name: str) -> None:
    scores = unfitted_score(name, OPTIONS)(Problem()(IMAGES))
    torch.testing.assert_close(scores, _expected(name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in FITTED_SCORES if name not in OTHER_ORACLES])
def test_a_fitted_score_is_pytorch_oods(name: str) -> None:
    network = Problem()
    score = fit(
        name,
        network.features(SEEN),
        network(SEEN),
        INPUTS["training_labels"],
        layer=network.head,
        options=OPTIONS,
        batch=16,
    )
    scores = score(network.features(IMAGES), network(IMAGES))
    # They fit in float32, with a ridge of 1e-6.
    torch.testing.assert_close(scores, _expected(name), rtol=1e-3, atol=5e-4)


def test_every_score_has_a_golden_value_or_another_oracle() -> None:
    detectors = {"odin", "mahalanobis_odin"}
    assert set(GOLDEN) - detectors == set(SCORE_NAMES) - set(OTHER_ORACLES)
    root = Path(__file__).parents[4]
    for name, test in OTHER_ORACLES.items():
        assert name in (root / test).read_text(encoding="utf-8")
