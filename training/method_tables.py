"""The parameters of single methods, as tables of a recipe; defaults are their papers' values."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Energy(_Table):
    """The energies that inliers are to stay below and outliers above, in nats.

    Defaults: Liu et al. 2020, arXiv:2010.03759, for CIFAR-10; for CIFAR-100 they took -27 and -5.
    """

    inlier_margin: float = -23.0
    outlier_margin: float = -5.0

    @model_validator(mode="after")
    def _inliers_lie_lower(self) -> Self:
        if self.inlier_margin >= self.outlier_margin:
            raise ValueError(
                f"inlier_margin: came {self.inlier_margin:g}, wanted less than outlier_margin,"
                f" {self.outlier_margin:g}"
            )
        return self


class Mining(_Table):
    """How outliers are chosen from a pool of `pool` times as many.

    Of the pool, ranked from least to most out-of-distribution, those from `quantile` on are taken;
    the share `attacked` of them is attacked. Defaults: Chen et al. 2021, arXiv:2006.15207, for
    CIFAR-10.
    """

    pool: int = Field(default=4, ge=2, le=64)
    quantile: float = Field(default=0.125, ge=0, lt=1)
    attacked: float = Field(default=0.5, gt=0, le=1)

    @model_validator(mode="after")
    def _enough_are_left(self) -> Self:
        if self.quantile > 1 - 1 / self.pool:
            raise ValueError(
                f"quantile: came {self.quantile:g}, wanted at most {1 - 1 / self.pool:g}: of"
                f" {self.pool} times as many the whole number must be left to take"
            )
        return self


class Trades(_Table):
    """`beta`, the weight of consistency against that of the clean loss.

    Default: Zhang et al. 2019, arXiv:1901.08573, for CIFAR-10.
    """

    beta: float = Field(default=6.0, gt=0)
