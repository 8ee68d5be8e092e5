"""The training methods by name: the recipe tables that each requires and the tables that tune it.

The loss of each method is documented in `training/objectives`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from oodguard.models.frozen_model import FrozenModel


class EnergySettings(FrozenModel):
    """The `[energy]` table: the margins of the energy hinges, in nats.

    Defaults: Liu et al. 2020, arXiv:2010.03759, for CIFAR-10. For CIFAR-100 the paper uses -27 and
    -5.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    inlier_margin: float = -23.0
    """Inliers are trained to energies below it."""

    outlier_margin: float = -5.0
    """Outliers are trained to energies above it."""

    @model_validator(mode="after")
    def _inlier_margin_is_lower(self) -> Self:
        if self.inlier_margin >= self.outlier_margin:
            raise ValueError(
                f"inlier_margin is {self.inlier_margin:g}, expected less than outlier_margin,"
                f" {self.outlier_margin:g}"
            )
        return self


class MiningSettings(FrozenModel):
    """The `[mining]` table: how training outliers are chosen from a larger pool.

    Images are ranked from least to most out-of-distribution. Defaults: Chen et al. 2021,
    arXiv:2006.15207, for CIFAR-10.
    """

    pool: int = Field(default=4, ge=2, le=64)
    """Size of the pool, as a multiple of the outliers that are used."""

    quantile: float = Field(default=0.125, ge=0, lt=1)
    """Share of the pool that is skipped: the outliers that are most similar to inliers."""

    attacked: float = Field(default=0.5, gt=0, le=1)
    """Share of the mined outliers that is attacked."""

    @model_validator(mode="after")
    def _enough_images_remain(self) -> Self:
        largest = 1 - 1 / self.pool
        if self.quantile > largest:
            raise ValueError(
                f"quantile is {self.quantile:g}, expected at most {largest:g} for pool ="
                f" {self.pool}: 1 of {self.pool} images must remain beyond the quantile"
            )
        return self


class TradesSettings(FrozenModel):
    """The `[trades]` table: the weight of the divergence term relative to the clean loss.

    Default: Zhang et al. 2019, arXiv:1901.08573, for CIFAR-10.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    beta: float = Field(default=6.0, gt=0)
    """Weight of consistency."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """The parts of a method: outliers, an attack, a reject class as an additional output.

    `teacher` is whether the method can learn from a teacher too. `parameters` is the name of the
    recipe table that tunes the method, if there is one.
    """

    outliers: bool
    attack: bool
    reject_class: bool = False
    teacher: bool = False
    parameters: Literal["energy", "mining", "trades"] | None = None


METHODS: Mapping[str, Method] = {
    "standard": Method(outliers=False, attack=False, teacher=True),
    "oe": Method(outliers=True, attack=False, teacher=True),
    "adv": Method(outliers=False, attack=True, teacher=True),
    "aoe": Method(outliers=True, attack=True, teacher=True),
    "aloe": Method(outliers=True, attack=True, teacher=True),
    "aloe-abstain": Method(outliers=True, attack=True, reject_class=True, teacher=True),
    "trades-aloe": Method(outliers=True, attack=True, parameters="trades"),
    "acet": Method(outliers=True, attack=True, teacher=True),
    "energy-oe": Method(outliers=True, attack=False, parameters="energy"),
    "energy-aloe": Method(outliers=True, attack=True, parameters="energy"),
    "atom": Method(outliers=True, attack=True, reject_class=True, parameters="mining"),
}
