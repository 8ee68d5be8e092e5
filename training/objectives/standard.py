"""Plain training: cross-entropy on the inliers as they are."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.base import Batch, TrainingStep, inlier_loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Standard:
    """CE(x). No outliers, no attack: the undefended twin."""

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:  # noqa: ARG003  (the shape all methods share)
        """Build the objective; nothing in the recipe changes it."""
        return cls()

    def __call__(
        self,
        network: nn.Module,
        batch: Batch,
        generator: torch.Generator,  # noqa: ARG002
    ) -> TrainingStep:
        """Return the mean cross-entropy of the inliers."""
        logits = network(batch.inliers)
        return TrainingStep(loss=inlier_loss(logits, batch), inlier_logits=logits)
