"""The `[attack]` table of a recipe: the attack of the inner maximization."""

from typing import Literal, Self

from pydantic import Field, model_validator

from oodguard.models.frozen_model import FrozenModel

AttackKind = Literal["pgd", "fgsm", "n-fgsm"]


class AttackSettings(FrozenModel):
    """The L-infinity attack of the inner maximization."""

    kind: AttackKind = "pgd"
    """`"pgd"`: steps from a random start; `"fgsm"`: one such step; `"n-fgsm"`: one step from strong
    noise (arXiv:2202.01181), for large budgets."""

    epsilon_255: float = Field(gt=0, le=64)
    """Radius of the L-infinity ball in 255ths of the pixel range, for both sides."""

    outlier_epsilon_255: float | None = Field(default=None, gt=0, le=64)
    """Radius for the outliers, if it differs; a larger one does not reduce the accuracy on
    inliers."""

    steps: int = Field(default=1, ge=1, le=100)
    """Gradient steps of `pgd`; one is enough up to about 4/255."""

    step_size: float = Field(default=1.25, gt=0, le=4)
    """In epsilons."""

    ramp: float = Field(default=0.0, ge=0, le=1)
    """Share of the run over which epsilon grows linearly from 0 to its full value."""

    @model_validator(mode="after")
    def _has_one_step_unless_pgd(self) -> Self:
        if self.kind != "pgd" and self.steps != 1:
            raise ValueError(f"steps is {self.steps}, expected 1 for kind = {self.kind!r}")
        return self

    @property
    def epsilon(self) -> float:
        """The radius of the L-infinity ball around an inlier, in [0, 1] pixel units."""
        return self.epsilon_255 / 255

    @property
    def outlier_epsilon(self) -> float | None:
        """The radius around an outlier in [0, 1] pixel units; None where it is `epsilon`."""
        return None if self.outlier_epsilon_255 is None else self.outlier_epsilon_255 / 255
