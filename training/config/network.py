"""The `[network]` and `[teacher]` tables of a recipe: the network, its weights, its teacher."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from oodguard.models.errors import RecipeError
from oodguard.models.frozen_model import FrozenModel
from oodguard.models.networks import check_name


class NetworkSettings(FrozenModel):
    """The architecture, and the weights that a new run starts from."""

    name: str
    """The architecture, `timm:MODEL`, or `package.module:factory` or `path/to/file.py:factory` for
    your own, docs/training.md#networks."""

    width: int | None = Field(default=None, ge=4, le=1024)
    """Channels of the first stage of the small residual networks, which require it; parameters grow
    with its square. The published networks have none."""

    mirror: bool = False
    """The trained network returns the mean over every image and its mirror image,
    docs/training.md#networks; training is not affected."""

    weights: Path | None = None
    """Safetensors file, or folder of a run, whose weights a new run starts from,
    docs/pretrained.md."""

    prefix: str | None = None
    """Beginning of the names of its tensors, such as `"teacher."`, if the file has several
    networks; none: it is found."""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        try:
            check_name(self.name, width=self.width)
        except RecipeError as error:  # pydantic collects only ValueErrors
            raise ValueError(str(error)) from error
        if self.prefix is not None and self.weights is None:
            raise ValueError(
                f"prefix is {self.prefix!r}, expected none without weights, the file that it is for"
            )
        return self

    def __str__(self) -> str:
        width = f", width {self.width}" if self.width is not None else ""
        return f"{self.name}{width}{', mean over the mirror image' if self.mirror else ''}"


class TeacherSettings(FrozenModel):
    """The `[teacher]` table: a trained network whose outputs the new network learns."""

    weights: Path
    """Folder of a finished run, or of a bundle, with the same classes, reject class and size of
    images."""

    share: float = Field(default=0.5, gt=0, le=1)
    """Share of the teacher's term in the loss, docs/training.md#a-teacher; the rest is the loss of
    the method."""
