"""Measure the time of a step of an attack, which the estimated time of an evaluation is made of."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from oodguard.training.attacks.base import AttackObjective, value_and_gradient
from oodguard.training.attacks.objectives import rejection_objective
from oodguard.training.attacks.square import Square
from oodguard.training.config.suites import Suite
from oodguard.training.data.dataset import ImageSet, to_pixels
from oodguard.training.evaluation.black_box import TRANSFER_STEPS
from oodguard.training.evaluation.target import EvaluationTarget, ScoreUnderTest
from oodguard.training.scoring.graph import evaluation_batch_size
from oodguard.training.scoring.network import frozen

TIMED_IMAGES = 50
TIMED_QUERIES = 4


def seconds_per_step(
    target: EvaluationTarget, suite: Suite, score: ScoreUnderTest, inliers: ImageSet
) -> float:
    """Measure a gradient step, or a query to a black box, of one image, on the first batch."""
    size = evaluation_batch_size(*inliers.images.shape[1:3])
    pixels = to_pixels(inliers.images[: min(size, TIMED_IMAGES)])
    if target.surrogate is None:
        seconds = _gradient_seconds(score.rejection, target.classifier, pixels)
    else:
        source = rejection_objective(target.surrogate, score.name)
        seconds = query_seconds(
            score.rejection, source, target.surrogate, pixels, queries=suite.ascent.steps
        )
    return seconds / len(pixels)


def query_seconds(
    objective: AttackObjective,
    source: AttackObjective,
    surrogate: nn.Module,
    pixels: Tensor,
    *,
    queries: int,
) -> float:
    """Return the time of one of the `queries` of Square, with its share of the transfer attack."""
    square = Square(epsilon=1 / 255, queries=TIMED_QUERIES)
    asked = _seconds(lambda: square(objective, pixels, torch.Generator())) / TIMED_QUERIES
    return asked + _gradient_seconds(source, surrogate, pixels) * TRANSFER_STEPS / queries


def _gradient_seconds(objective: AttackObjective, network: nn.Module, pixels: Tensor) -> float:
    rows = torch.arange(len(pixels))
    with frozen(network):
        return _seconds(lambda: value_and_gradient(objective, pixels, rows))


def _seconds(work: Callable[[], object]) -> float:
    """Return the time of the second of two calls; the first one warms up."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
