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
from oodguard.training.scoring.graph import evaluation_batch_size
from oodguard.training.scoring.network import MixedPrecisionNetwork, frozen

MAX_ATTACKED = 500
MIN_ATTACKED = 50
TRAINING_IMAGES_PER_ATTACKED = 16
"""PGD-10 on both sides then takes about a third of an epoch with a one-step training attack."""


def attacked_images(training_images: int) -> int:
    """Return the default number of attacked images of each side: n / 16, from 50 to 500."""
    return min(MAX_ATTACKED, max(MIN_ATTACKED, training_images // TRAINING_IMAGES_PER_ATTACKED))


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationResult:
    """Accuracies as shares in [0, 1]; the AUROC is None without outliers or without an attack."""

    accuracy: float
    attacked_accuracy: float
    attacked_auroc: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustValidation:
    """The validation images: inliers, and outliers or None.

    `outliers` are uint8 `(m, H, W, 3)`, or generated pixels `(m, 3, H, W)` in [0, 1]. The first
    `attacked` of each side are attacked batch by batch, and attacked images are not kept, because
    large ones would not fit into memory.
    """

    recipe: Recipe
    inliers: ImageSet
    outliers: Tensor | None
    attacked: int

    @classmethod
    def from_data(
        cls,
        recipe: Recipe,
        validation: ImageSet,
        outliers: ImageSet | None,
        *,
        training_images: int,
    ) -> Self:
        """Select the images; without real outliers, generate them from the validation images."""
        attacked = recipe.schedule.attacked_validation or attacked_images(training_images)
        images: Tensor | None = None
        if recipe.attack is not None and recipe.outliers is not None:
            if outliers is not None:
                images = outliers.images[:attacked]
            else:
                generator = epoch_generator(recipe.seed, VALIDATION)
                images = synthetic_outliers(validation.images[:attacked], generator)
        return cls(recipe=recipe, inliers=validation, outliers=images, attacked=attacked)

    @property
    def images(self) -> int:
        """The number of attacked images, of the smaller side."""
        sides = [self.inliers.images] + ([] if self.outliers is None else [self.outliers])
        return min(self.attacked, *(len(side) for side in sides))

    def __call__(self, network: nn.Module) -> ValidationResult:
        """Measure a network without changing its parameters or statistics."""
        runner = MixedPrecisionNetwork(network, self.recipe.schedule.precision).eval()
        device = next(network.parameters()).device
        images, labels = self.inliers.images, self.inliers.labels.to(device)
        subset = images[: self.attacked]
        classes = len(self.inliers.classes)
        size = evaluation_batch_size(*images.shape[1:3])

        def loss(perturbed: Tensor, rows: Tensor) -> Tensor:
            return cross_entropy(runner(perturbed)[:, :classes], labels[rows])

        @torch.no_grad()
        def correct(pixels: Tensor, rows: Tensor) -> Tensor:
            predicted: Tensor = runner(pixels)[:, :classes].argmax(1)
            return predicted == labels[rows]

        with frozen(runner):
            attacked = self._attacked(loss, correct, subset, device)
            clean = [
                correct(to_pixels(chunk).to(device), rows.to(device))
                for chunk, rows in zip(
                    images.split(size), torch.arange(len(images)).split(size), strict=True
                )
            ]
            return ValidationResult(
                accuracy=torch.cat(clean).float().mean().item(),
                attacked_accuracy=attacked.float().mean().item(),
                attacked_auroc=self._attacked_auroc(runner, subset, device),
            )

    def _attacked_auroc(
        self, runner: nn.Module, inliers: Tensor, device: torch.device
    ) -> float | None:
        """Return the AUROC of inliers attacked to raise the score and outliers to lower it."""
        if self.outliers is None:
            return None
        score = validation_score(self.recipe)

        def value(pixels: Tensor, _: Tensor) -> Tensor:
            return score(runner(pixels))

        raised = self._attacked(value, value, inliers, device)
        lowered = self._attacked(
            lambda pixels, rows: -value(pixels, rows), value, self.outliers, device
        )
        return auroc(_finite(raised), _finite(lowered))

    def _attacked(
        self,
        objective: AttackObjective,
        measure: AttackObjective,
        images: Tensor,
        device: torch.device,
    ) -> Tensor:
        """Return `measure` `(n,)` of images that were attacked to maximize `objective`.

        uint8 images or pixels are attacked in batches of the training size, which fit into memory.
        """
        epsilon = self.recipe.attack.epsilon if self.recipe.attack else 1 / 255
        attack = Pgd(epsilon=epsilon, steps=10, step_size=epsilon / 4)
        generator = epoch_generator(self.recipe.seed, VALIDATION, device)
        measured = []
        for rows in torch.arange(len(images)).split(self.recipe.schedule.batch_size):
            batch, places = images[rows], rows.to(device)
            pixels = (batch if batch.is_floating_point() else to_pixels(batch)).to(device)
            found = attack(restrict_to_rows(objective, places), pixels, generator)
            with torch.no_grad():
                measured.append(measure(found, places))
        return torch.cat(measured)


def validation_score(recipe: Recipe) -> Callable[[Tensor], Tensor]:
    """Return the score of outputs `(n, C)` as `(n,)` that validation attacks; higher is more OOD.

    The log-odds of the reject class if the method trains one; else the energy if it is the recipe's
    default score; else the log-odds of MSP. None of them saturates under an attack.
    """
    if recipe.reject_classes:
        return abstain
    return energy if recipe.default_score == "energy" else msp_log_odds


def _finite(values: Tensor) -> Scores:
    bounds = torch.finfo(values.dtype)  # NaN is rejected, as in the service
    values = values.nan_to_num(nan=bounds.max, posinf=bounds.max, neginf=bounds.min)
    scores: Scores = values.cpu().numpy()
    return scores
