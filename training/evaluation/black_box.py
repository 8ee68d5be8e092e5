"""Attack a bundle whose graph torch cannot run: Square, and transfer from a distilled network."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.scores.base import Score
from oodguard.training.attacks.apgd import Apgd
from oodguard.training.attacks.base import AttackObjective, BestIterates
from oodguard.training.attacks.noise import transfer_attack
from oodguard.training.attacks.square import Square
from oodguard.training.config.suites import Suite, SuiteAttack, SuiteTrials
from oodguard.training.data.dataset import to_pixels
from oodguard.training.scoring.graph import ScoredClassifier
from oodguard.training.scoring.network import frozen

QUERIES_PER_STEP = 5
"""Queries of Square for each step of the suite's gradient attack."""

TRANSFER_STEPS = 20
"""Steps of APGD on the surrogate network."""

DISTILLATION_STEPS = 300
DISTILLATION_BATCH = 64
LARGEST_NOISE = 16 / 255
SURROGATE_SIDE = 32
"""Larger images are reduced to about this size by the surrogate's first layer."""


class BlackBoxClassifier(ScoredClassifier):
    """The graph of a bundle in ONNX Runtime: logits and scores of whole pixels, no gradients."""

    def __init__(self, run: RunGraph, scores: Sequence[str], *, classes: int) -> None:
        super().__init__(
            {name: _column(index) for index, name in enumerate(scores)}, classes=classes
        )
        self.run = run

    @torch.no_grad()
    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to score columns `(n, S)` and logits `(n, K)`."""
        whole = (255 * pixels.permute(0, 2, 3, 1)).round().clamp(0, 255).to(torch.uint8)
        logits, scores = self.run(np.ascontiguousarray(whole.numpy()))
        return torch.from_numpy(scores), torch.from_numpy(logits)


class DistilledSurrogate(ScoredClassifier):
    """A small convolutional network that imitates the logits and the scores of a black box.

    It predicts them standardized: as deviations from `mean` in units of `deviation`, `(K + S,)`.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, scores: Sequence[str], *, answers: Tensor, classes: int, side: int) -> None:
        super().__init__(
            {name: _column(index) for index, name in enumerate(scores)}, classes=classes
        )
        self.register_buffer("mean", answers.mean(dim=0))
        self.register_buffer("deviation", answers.std(dim=0).clamp_min(1e-6))
        patch = max(1, side // SURROGATE_SIDE)
        self.network = nn.Sequential(
            nn.Conv2d(3, 32, max(3, patch), stride=patch, padding=1 if patch < 3 else 0),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(64 * 16, answers.shape[1]),
        )

    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to score columns `(n, S)` and logits `(n, K)`."""
        answers = self.mean + self.deviation * self.standardized(pixels)
        return answers[:, self.classes :], answers[:, : self.classes]

    def standardized(self, pixels: Tensor) -> Tensor:
        """Return the standardized answers `(n, K + S)`."""
        found: Tensor = self.network(pixels - 0.5)
        return found


def black_box_suite(suite: Suite) -> Suite:
    """Return the suite with the black-box attack in place of its gradient attack and trials."""
    ascent, queries = suite.ascent, QUERIES_PER_STEP * suite.ascent.steps
    attack = SuiteAttack(
        kind="black-box",
        steps=queries,
        restarts=1,
        end_to_end=queries if ascent.end_to_end else 0,
    )
    return suite.model_copy(update={"ascent": attack, "trials": SuiteTrials()})


def distil(
    victim: BlackBoxClassifier, images: Tensor, *, seed: int, steps: int = DISTILLATION_STEPS
) -> DistilledSurrogate:
    """Train a surrogate on the answers of a black box.

    Knowledge distillation, Hinton et al. 2015, arXiv:1503.02531; as a source of transfer attacks,
    Papernot et al. 2017, arXiv:1602.02697. `images` `(n, H, W, 3)` uint8 are those that will be
    attacked. Every batch adds uniform noise of a random radius, and the black box answers again:
    the surrogate learns how its outputs change around the images.
    """
    generator = torch.Generator().manual_seed(seed)
    batch = images[torch.randperm(len(images), generator=generator)[:DISTILLATION_BATCH]]
    answers = _answers(victim, to_pixels(batch))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        surrogate = DistilledSurrogate(
            list(victim.scores),
            answers=answers,
            classes=victim.classes,
            side=min(images.shape[1:3]),
        )
    optimizer = torch.optim.AdamW(surrogate.parameters(), lr=2e-3)
    for _ in range(steps):
        rows = torch.randint(len(images), (DISTILLATION_BATCH,), generator=generator)
        clean = to_pixels(images[rows])
        radius = LARGEST_NOISE * torch.rand(len(rows), 1, 1, 1, generator=generator)
        noise = 2 * torch.rand(clean.shape, generator=generator) - 1
        pixels = (255 * (clean + radius * noise)).round().clamp(0, 255) / 255
        target = (_answers(victim, pixels) - surrogate.mean) / surrogate.deviation
        loss = functional.smooth_l1_loss(surrogate.standardized(pixels), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return surrogate.eval().requires_grad_(requires_grad=False)


def run_black_box_attack(  # noqa: PLR0913  (an attack and its images)
    queries: int,
    objective: AttackObjective,
    source: AttackObjective,
    images: Tensor,
    epsilons: Sequence[float],
    generator: torch.Generator,
    *,
    surrogate: DistilledSurrogate,
) -> Iterator[tuple[float, Tensor]]:
    """Attack images within each epsilon with Square and with APGD on the surrogate.

    `source` is the surrogate's objective. The better result by the black box's own objective is
    kept for each image, and what was found within a smaller epsilon. All points are whole pixels:
    an epsilon counts in whole 255ths, rounded down.

    Yields:
        Each epsilon, ascending, and the attacked images `(n, 3, H, W)`.
    """
    rows = torch.arange(len(images))
    best = BestIterates.from_clean(objective, images)
    for epsilon in epsilons:
        radius = int(255 * epsilon + 1e-6) / 255
        if radius > 0:
            with frozen(surrogate):
                transferred = transfer_attack(
                    Apgd(epsilon=radius, steps=TRANSFER_STEPS),
                    images,
                    generator,
                    source=source,
                    victim=objective,
                )
            for found in (
                transferred,
                Square(epsilon=radius, queries=queries)(objective, images, generator),
            ):
                whole = (255 * found).round() / 255
                with torch.no_grad():
                    best.update(rows, whole, objective(whole, rows))
        yield epsilon, best.images.clone()


def _answers(victim: BlackBoxClassifier, pixels: Tensor) -> Tensor:
    scores, logits = victim.features_and_outputs(pixels)
    return torch.cat([logits, scores], dim=1)


def _column(index: int) -> Score:
    return lambda features, _: features[:, index]
