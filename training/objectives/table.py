"""The objectives that are a cross-entropy on inliers plus one loss on outliers, as one table.

    L = CE(x, y) + w L_out(o)

where x, y are inliers with their labels, o outliers, CE the cross-entropy, w the recipe's
`outliers.weight`, and every term a mean over its images. In an attacked half each image is replaced
by the one that maximizes its own term within the L-infinity ball of radius epsilon:

    x' = argmax CE(x + d, y),  o' = argmax L_out(o + d)  over |d|_inf <= epsilon

A row defines the attacked halves and the loss L_out. U(o) = logsumexp(z) - mean(z) is the
cross-entropy of the logits z of o to the uniform distribution. Objectives of another form are in
`atom.py`, `energy.py` and `trades.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import (
    Batch,
    OutlierLoss,
    TrainingStep,
    class_logits,
    cross_entropy,
    inlier_loss,
    log_confidence,
    logits_of_both,
    reject_cross_entropy,
    uniform_cross_entropy,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveTerms:
    """One row: the attacked halves and the outlier loss; with `reject_class`, K + 1 outputs."""

    attack_inliers: bool = False
    attack_outliers: bool = False
    outlier_loss: OutlierLoss | None = None
    reject_class: bool = False


OBJECTIVE_TABLE: Mapping[str, ObjectiveTerms] = {
    # Standard training: CE(x, y). Neither outliers nor an attack; the undefended baseline.
    "standard": ObjectiveTerms(),
    # OE, outlier exposure: CE(x, y) + w U(o). Hendrycks et al. 2019, arXiv:1812.04606; w = 0.5.
    "oe": ObjectiveTerms(outlier_loss=uniform_cross_entropy),
    # ADV, adversarial training: CE(x', y). Madry et al. 2018, arXiv:1706.06083.
    "adv": ObjectiveTerms(attack_inliers=True),
    # AOE, adversarial training with outlier exposure: CE(x', y) + w U(o). It is not robust to
    # attacked outliers. Chen et al. 2021, arXiv:2003.09711; w = 0.5.
    "aoe": ObjectiveTerms(attack_inliers=True, outlier_loss=uniform_cross_entropy),
    # ALOE, adversarial training with informative outliers, robust on both sides:
    # CE(x', y) + w U(o'). Chen et al. 2021, arXiv:2003.09711; w = 0.5.
    "aloe": ObjectiveTerms(
        attack_inliers=True, attack_outliers=True, outlier_loss=uniform_cross_entropy
    ),
    # ALOE with a reject class: CE(x', y) + w CE(o', reject), cross-entropies over K + 1 outputs of
    # which the last is the reject class. The attacks are those of ALOE, the reject class is that of
    # ATOM (arXiv:2006.15207); their combination is this project's. U requires equal logits for all
    # classes on outliers, a reject class does not. Scored by `abstain`, the log-odds of the reject
    # class.
    "aloe-abstain": ObjectiveTerms(
        attack_inliers=True,
        attack_outliers=True,
        outlier_loss=reject_cross_entropy,
        reject_class=True,
    ),
    # ACET, adversarial confidence enhancing training: CE(x, y) + w max_k log p_k(o').
    # Hein et al. 2019, arXiv:1812.05720; w = 1. The paper's outliers are smoothed noise, here they
    # are those of the recipe.
    "acet": ObjectiveTerms(attack_outliers=True, outlier_loss=log_confidence),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TableObjective:
    """The objective of one row of the table.

    `adversary` is None where the row attacks nothing; `outlier_weight` is w, unused without an
    outlier loss.
    """

    terms: ObjectiveTerms
    adversary: Adversary | None = None
    outlier_weight: float = 0.0

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Attack the halves that the row names, in one pass, then return the loss of both."""
        terms = self.terms
        if self.adversary is not None:
            batch = self.adversary(
                network,
                batch,
                generator,
                inliers=cross_entropy if terms.attack_inliers else None,
                outliers=terms.outlier_loss if terms.attack_outliers else None,
            )
        if terms.outlier_loss is None:
            logits = network(batch.inliers)
            return TrainingStep(loss=inlier_loss(logits, batch), inlier_logits=logits)
        inliers, outliers = logits_of_both(network, batch)
        outlier_term = terms.outlier_loss(outliers).mean()
        return TrainingStep(
            loss=inlier_loss(inliers, batch) + self.outlier_weight * outlier_term,
            inlier_logits=class_logits(inliers) if terms.reject_class else inliers,
        )
