"""Robust validation after every epoch: held-out images, clean and under PGD-10.

The training attack may have one step, which a network can overfit to. Validation therefore uses ten
steps at the recipe's full epsilon, also while `attack.ramp` trains at a smaller one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from oodguard.models.scores.logit_scores import abstain, energy, msp_log_odds
from oodguard.training.attacks.base import AttackObjective, restrict_to_rows
from oodguard.training.attacks.pgd import Pgd
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.dataset import ImageSet, to_pixels
from oodguard.training.data.synthetic import synthetic_outliers
from oodguard.training.objectives.base import cross_entropy
from oodguard.training.provenance import VALIDATION, epoch_generator
from oodguard.training.report.evidence import Scores
from oodguard.training.report.metrics import auroc
from oodguard.training.scoring.graph import EVALUATION_BATCH_SIZE
from oodguard.training.scoring.network import MixedPrecisionNetwork, frozen

MAX_ATTACKED = 500
"""The number of attacked images of each side; PGD-10 on them takes some seconds per epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationResult:
    """Accuracies as shares in [0, 1]; the AUROC is None without outliers or without an attack."""

    accuracy: float
    attacked_accuracy: float
    attacked_auroc: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustValidation:
    """The validation images: inliers, and outlier pixels `(m, 3, H, W)` in [0, 1] or None."""

    recipe: Recipe
    inliers: ImageSet
    outliers: Tensor | None

    @classmethod
    def from_data(cls, recipe: Recipe, validation: ImageSet, outliers: ImageSet | None) -> Self:
        """Select the images; without real outliers, generate them from the validation images."""
        pixels: Tensor | None = None
        if recipe.attack is not None and recipe.outliers is not None:
            if outliers is not None:
                pixels = to_pixels(outliers.images[:MAX_ATTACKED])
            else:
                generator = epoch_generator(recipe.seed, VALIDATION)
                pixels = synthetic_outliers(validation.images[:MAX_ATTACKED], generator)
        return cls(recipe=recipe, inliers=validation, outliers=pixels)

    @property
    def images(self) -> int:
        """The number of attacked images, of the smaller side."""
        sides = [self.inliers.images] + ([] if self.outliers is None else [self.outliers])
        return min(MAX_ATTACKED, *(len(side) for side in sides))

    def __call__(self, network: nn.Module) -> ValidationResult:
        """Measure a network without changing its parameters or statistics."""
        runner = MixedPrecisionNetwork(network, self.recipe.schedule.precision).eval()
        device = next(network.parameters()).device
        pixels = to_pixels(self.inliers.images).to(device)
        labels = self.inliers.labels.to(device)
        subset = slice(MAX_ATTACKED)
        classes = len(self.inliers.classes)

        def loss(perturbed: Tensor, rows: Tensor) -> Tensor:
            return cross_entropy(runner(perturbed)[:, :classes], labels[rows])

        with frozen(runner):
            attacked = self._attack(loss, pixels[subset])
            return ValidationResult(
                accuracy=_accuracy(runner, pixels, labels, classes=classes),
                attacked_accuracy=_accuracy(runner, attacked, labels[subset], classes=classes),
                attacked_auroc=self._attacked_auroc(runner, pixels[subset]),
            )

    def _attacked_auroc(self, runner: nn.Module, inliers: Tensor) -> float | None:
        """Return the AUROC of inliers attacked to raise the score and outliers to lower it."""
        if self.outliers is None:
            return None
        score = validation_score(self.recipe)
        raised = self._attack(lambda images, _: score(runner(images)), inliers)
        outliers = self.outliers.to(inliers.device)
        lowered = self._attack(lambda images, _: -score(runner(images)), outliers)
        return auroc(_scores(runner, score, raised), _scores(runner, score, lowered))

    def _attack(self, objective: AttackObjective, pixels: Tensor) -> Tensor:
        """Attack in batches of the training size, which are known to fit into memory."""
        epsilon = self.recipe.attack.epsilon if self.recipe.attack else 1 / 255
        attack = Pgd(epsilon=epsilon, steps=10, step_size=epsilon / 4)
        generator = epoch_generator(self.recipe.seed, VALIDATION, pixels.device)
        batches = torch.arange(len(pixels), device=pixels.device).split(
            self.recipe.schedule.batch_size
        )
        return torch.cat(
            [attack(restrict_to_rows(objective, rows), pixels[rows], generator) for rows in batches]
        )


def validation_score(recipe: Recipe) -> Callable[[Tensor], Tensor]:
    """Return the score of outputs `(n, C)` as `(n,)` that validation attacks; higher is more OOD.

    The log-odds of the reject class if the method trains one; else the energy if it is the recipe's
    default score; else the log-odds of MSP. None of them saturates under an attack.
    """
    if recipe.reject_classes:
        return abstain
    return energy if recipe.default_score == "energy" else msp_log_odds


@torch.no_grad()
def _scores(runner: nn.Module, score: Callable[[Tensor], Tensor], pixels: Tensor) -> Scores:
    values = torch.cat([score(runner(chunk)) for chunk in pixels.split(EVALUATION_BATCH_SIZE)])
    bounds = torch.finfo(values.dtype)  # NaN is rejected, as in the service
    values = values.nan_to_num(nan=bounds.max, posinf=bounds.max, neginf=bounds.min)
    scores: Scores = values.cpu().numpy()
    return scores


@torch.no_grad()
def _accuracy(runner: nn.Module, pixels: Tensor, labels: Tensor, *, classes: int) -> float:
    predicted = torch.cat(
        [runner(chunk)[:, :classes].argmax(1) for chunk in pixels.split(EVALUATION_BATCH_SIZE)]
    )
    return (predicted == labels).float().mean().item()
