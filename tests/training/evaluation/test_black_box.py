"""Attacks without gradients on a score that is linear in the pixels, whose optimum is known."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.training.attacks.base import AttackObjective
from oodguard.training.attacks.objectives import rejection_objective
from oodguard.training.config.suites import SUITES
from oodguard.training.data.dataset import to_pixels
from oodguard.training.evaluation.black_box import (
    TRANSFER_STEPS,
    BlackBoxClassifier,
    DistilledSurrogate,
    black_box_suite,
    distil,
    run_black_box_attack,
)
from oodguard.training.evaluation.step_time import TIMED_QUERIES, query_seconds

EPSILONS = (0.5 / 255, 4 / 255, 8 / 255)
GENERATOR = np.random.default_rng(0)
CENTRES = GENERATOR.integers(60, 190, (96, 1, 1, 3))
IMAGES = torch.from_numpy(
    (CENTRES + GENERATOR.integers(-40, 40, (96, 8, 8, 3))).clip(0, 255).astype(np.uint8)
)


def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits: 4 times the means of the colours. Score: minus the mean of red."""
    means = images.astype(np.float32).mean(axis=(1, 2)) / 255
    return 4 * means, -means[:, :1]


@pytest.fixture(scope="module")
def victim() -> BlackBoxClassifier:
    return BlackBoxClassifier(run, ("energy",), classes=3)


@pytest.fixture(scope="module")
def surrogate(victim: BlackBoxClassifier) -> DistilledSurrogate:
    return distil(victim, IMAGES[:64], seed=0, steps=150)


def test_black_box_receives_the_nearest_whole_pixels(victim: BlackBoxClassifier) -> None:
    pixels = torch.full((1, 3, 2, 2), 100.4 / 255)
    pixels[0, 1] = 1.5
    scores, logits = victim.features_and_outputs(pixels)
    torch.testing.assert_close(logits, 4 * torch.tensor([[100 / 255, 1, 100 / 255]]))
    torch.testing.assert_close(scores, torch.tensor([[-100 / 255]]))


def test_black_box_surrogate_imitates_the_scores_of_other_images(
    victim: BlackBoxClassifier, surrogate: DistilledSurrogate
) -> None:
    pixels = to_pixels(IMAGES[64:])
    with torch.no_grad():
        found = surrogate.score("energy", pixels)
    expected = victim.score("energy", pixels)
    assert np.corrcoef(found.numpy(), expected.numpy())[0, 1] > 0.95


def test_black_box_attack_stays_in_the_ball_and_comes_close_to_the_optimum(
    victim: BlackBoxClassifier, surrogate: DistilledSurrogate
) -> None:
    clean = to_pixels(IMAGES[:20])
    found = dict(
        run_black_box_attack(
            20,
            rejection_objective(victim, "energy"),
            rejection_objective(surrogate, "energy"),
            clean,
            EPSILONS,
            torch.Generator().manual_seed(0),
            surrogate=surrogate,
        )
    )
    # Less than one step of a pixel changes nothing.
    assert torch.equal(found[EPSILONS[0]], clean)
    before = victim.score("energy", clean)
    for epsilon in EPSILONS[1:]:
        moved = found[epsilon]
        assert (moved - clean).abs().max() <= epsilon + 1e-6
        torch.testing.assert_close(255 * moved, (255 * moved).round())
        # The best change darkens every red pixel by epsilon; few of these are below it.
        gain = (victim.score("energy", moved) - before).mean()
        assert gain > 0.9 * epsilon


def test_black_box_suite_counts_queries_and_has_no_trials() -> None:
    suite = black_box_suite(SUITES["standard"])
    assert (suite.ascent.kind, suite.ascent.steps, suite.ascent.targeted) == ("black-box", 100, 0)
    assert suite.trials.images == 0
    assert suite.budgets == SUITES["standard"].budgets


def test_black_box_time_of_a_query_has_a_share_of_the_transfer_attack(
    victim: BlackBoxClassifier, surrogate: DistilledSurrogate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query takes 1 s, and a gradient of the surrogate 10 s, 20 of them for 50 queries."""
    clock = 0.0

    def slow(objective: AttackObjective, seconds: float) -> AttackObjective:
        def value(pixels: Tensor, rows: Tensor) -> Tensor:
            nonlocal clock
            clock += seconds
            return objective(pixels, rows)

        return value

    monkeypatch.setattr("time.perf_counter", lambda: clock)
    queried = slow(rejection_objective(victim, "energy"), 1.0)
    source = slow(rejection_objective(surrogate, "energy"), 10.0)
    found = query_seconds(queried, source, surrogate, to_pixels(IMAGES[:4]), queries=50)
    assert found == pytest.approx((TIMED_QUERIES + 1) / TIMED_QUERIES + 10 * TRANSFER_STEPS / 50)
