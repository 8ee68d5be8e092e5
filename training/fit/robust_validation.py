"""What is measured after every epoch: held-out images, clean and under an attack of many steps.

Training meets its own attack only, and one step of it can be learnt by heart; so this is PGD-10 at
the recipe's full epsilon, also while `attack.ramp` has training at less.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oodguard.models.scores.abstain import abstain
from oodguard.models.scores.energy import energy
from oodguard.models.scores.msp import msp_log_odds
from oodguard.training.attacks.base import AttackObjective, restrict_to_rows
from oodguard.training.attacks.pgd import Pgd
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.dataset import ImageSet, to_pixels
from oodguard.training.data.synthetic import synthetic_outliers
from oodguard.training.objectives.losses import cross_entropy
from oodguard.training.provenance import WATCHING, drawn_from
from oodguard.training.report.metrics import auroc
from oodguard.training.report.model import Scores
from oodguard.training.scoring.network import MixedPrecisionNetwork, frozen

UNDER_ATTACK = 500  # images of each side; PGD-10 on them costs some seconds an epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationResult:
    """Accuracies as shares; the AUROC is None where no outliers are trained against an attack."""

    accuracy: float
    attacked_accuracy: float
    attacked_auroc: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustValidation:
    """The watched images: inliers, and outlier pixels `(m, 3, H, W)` in [0, 1] or None."""

    recipe: Recipe
    inliers: ImageSet
    outliers: Tensor | None

    @classmethod
    def of(
        cls, recipe: Recipe, validation: ImageSet, outliers: ImageSet | None
    ) -> "RobustValidation":
        """Choose what is watched; synthetic outliers are made of the validation images."""
        watched: Tensor | None = None
        if recipe.attack is not None and recipe.outliers is not None:
            if outliers is not None:
                watched = to_pixels(outliers.images[:UNDER_ATTACK])
            else:
                generator = drawn_from(recipe.seed, WATCHING)
                watched = synthetic_outliers(validation.images[:UNDER_ATTACK], generator)
        return cls(recipe=recipe, inliers=validation, outliers=watched)

    @property
    def images(self) -> int:
        """How many images of a side are attacked, of the smaller one."""
        sides = [self.inliers.images] + ([] if self.outliers is None else [self.outliers])
        return min(UNDER_ATTACK, *(len(side) for side in sides))

    def __call__(self, network: nn.Module) -> ValidationResult:
        """Measure a network; it is left as it was."""
        runner = MixedPrecisionNetwork(network, self.recipe.schedule.precision).eval()
        device = next(network.parameters()).device
        pixels = to_pixels(self.inliers.images).to(device)
        labels = self.inliers.labels.to(device)
        few = slice(UNDER_ATTACK)
        classes = len(self.inliers.classes)

        def harm(perturbed: Tensor, rows: Tensor) -> Tensor:
            return cross_entropy(runner(perturbed)[:, :classes], labels[rows])

        with frozen(runner):
            attacked = self._attacked(harm, pixels[few])
            return ValidationResult(
                accuracy=_accuracy(runner, pixels, labels, classes=classes),
                attacked_accuracy=_accuracy(runner, attacked, labels[few], classes=classes),
                attacked_auroc=self._auroc(runner, pixels[few]),
            )

    def _auroc(self, runner: nn.Module, inliers: Tensor) -> float | None:
        """Push inliers to rejection and outliers to acceptance, then see how well they part."""
        if self.outliers is None:
            return None
        score = watched_score(self.recipe)
        up = self._attacked(lambda images, _: score(runner(images)), inliers)
        outliers = self.outliers.to(inliers.device)
        down = self._attacked(lambda images, _: -score(runner(images)), outliers)
        return auroc(_scores(runner, score, up), _scores(runner, score, down))

    def _attacked(self, goal: AttackObjective, pixels: Tensor) -> Tensor:
        """Attack in batches of the training's size: a large network fits no more into memory."""
        epsilon = self.recipe.attack.epsilon if self.recipe.attack else 1 / 255
        attack = Pgd(epsilon=epsilon, steps=10, step_size=epsilon / 4)
        generator = drawn_from(self.recipe.seed, WATCHING, pixels.device)
        parts = torch.arange(len(pixels), device=pixels.device).split(
            self.recipe.schedule.batch_size
        )
        return torch.cat(
            [attack(restrict_to_rows(goal, part), pixels[part], generator) for part in parts]
        )


def watched_score(recipe: Recipe) -> Callable[[Tensor], Tensor]:
    """Return the score that is watched, of outputs `(n, C)` as `(n,)`, higher meaning more OOD.

    The log-odds of the reject class where the method trains one; else energy where the recipe's
    default score is that; else the log-odds of MSP. None of them saturates under an attack.
    """
    if recipe.reject_classes:
        return abstain
    return energy if recipe.default_score == "energy" else msp_log_odds


@torch.no_grad()
def _scores(runner: nn.Module, score: Callable[[Tensor], Tensor], pixels: Tensor) -> Scores:
    values = torch.cat([score(runner(chunk)) for chunk in pixels.split(250)])
    bounds = torch.finfo(values.dtype)  # NaN is rejected, here as in the service
    values = values.nan_to_num(nan=bounds.max, posinf=bounds.max, neginf=bounds.min)
    found: Scores = values.cpu().numpy()
    return found


@torch.no_grad()
def _accuracy(runner: nn.Module, pixels: Tensor, labels: Tensor, *, classes: int) -> float:
    predicted = torch.cat([runner(chunk)[:, :classes].argmax(1) for chunk in pixels.split(250)])
    return (predicted == labels).float().mean().item()
