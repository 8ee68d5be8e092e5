"""The attack on training batches: the inner maximization of the adversarial objectives."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oodguard.training.attacks.base import Attack
from oodguard.training.attacks.pgd import NFgsm, Pgd
from oodguard.training.config.attack import AttackSettings
from oodguard.training.objectives.base import Batch, InlierLoss, OutlierLoss
from oodguard.training.scoring.network import frozen


@dataclass(frozen=True, slots=True)
class Adversary:
    """Attacks one or both halves of a batch within L-infinity balls.

    `fgsm` is one step of `pgd` (Wong et al. 2020, arXiv:2001.03994), `n-fgsm` one step from
    stronger noise.
    """

    settings: AttackSettings

    def at(self, progress: float, *, epsilon: float | None = None) -> Attack:
        """Return the attack at `progress`, the share of the run that is done.

        `epsilon` is the full radius in [0, 1] pixel units; that for inliers if None.
        """
        settings = self.settings
        grown = min(progress / settings.ramp, 1.0) if settings.ramp > 0 else 1.0
        epsilon = grown * (settings.epsilon if epsilon is None else epsilon)
        step_size = settings.step_size * epsilon
        if settings.kind == "n-fgsm":
            return NFgsm(epsilon=epsilon, step_size=step_size)
        return Pgd(epsilon=epsilon, steps=settings.steps, step_size=step_size)

    def __call__(
        self,
        network: nn.Module,
        batch: Batch,
        generator: torch.Generator,
        *,
        inliers: InlierLoss | None = None,
        outliers: OutlierLoss | None = None,
    ) -> Batch:
        """Return the batch with images that maximize the given losses.

        A half without a loss is not changed. Both halves are attacked in one pass, or in one pass
        each if their radii differ. The network's parameters and statistics do not change.
        """
        attack, outlier_epsilon = self.at(batch.progress), self.settings.outlier_epsilon
        if outlier_epsilon is None:
            return _attack(attack, network, batch, generator, inliers, outliers)
        if inliers:
            batch = _attack(attack, network, batch, generator, inliers, None)
        if outliers:
            wider = self.at(batch.progress, epsilon=outlier_epsilon)
            batch = _attack(wider, network, batch, generator, None, outliers)
        return batch


def _attack(  # noqa: PLR0913
    attack: Attack,
    network: nn.Module,
    batch: Batch,
    generator: torch.Generator,
    inliers: InlierLoss | None,
    outliers: OutlierLoss | None,
) -> Batch:
    count = len(batch.inliers) if inliers else 0
    attacked_outliers = batch.outliers if outliers else batch.outliers[:0]

    def loss(images: Tensor, rows: Tensor) -> Tensor:
        # Rows are in ascending order. Read before the pass, for which a GPU would be waited for.
        cut = int((rows < count).sum())
        logits = network(images)
        return torch.cat(
            [
                *([inliers(logits[:cut], batch.labels[rows[:cut]])] if inliers else []),
                *([outliers(logits[cut:])] if outliers else []),
            ]
        )

    with frozen(network):
        attacked = attack(loss, torch.cat([batch.inliers[:count], attacked_outliers]), generator)
    return replace(
        batch,
        inliers=attacked[:count] if inliers else batch.inliers,
        outliers=attacked[count:] if outliers else batch.outliers,
    )
