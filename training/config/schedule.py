"""The `[schedule]` table of a recipe: epochs, optimizer and learning rate, and their defaults."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from oodguard.models.frozen_model import FrozenModel
from oodguard.models.networks.timm_network import is_timm_name

OptimizerName = Literal["sgd", "adamw"]


class ScheduleSettings(FrozenModel):
    """The optimizer, and its rate: linear warm-up over `warm_up` of the steps, then cosine decay.

    A recipe has other defaults of `optimizer`, `peak_rate` and `weight_decay` for some networks,
    see `schedule_defaults`.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    epochs: int = Field(ge=1)
    """Number of epochs."""

    batch_size: int = Field(default=128, ge=2)
    """Inliers in a batch."""

    optimizer: OptimizerName = "sgd"
    """SGD with Nesterov momentum, or AdamW. For pretrained networks and transformers, this key,
    `peak_rate` and `weight_decay` have other defaults, docs/pretrained.md#defaults."""

    freeze: int = Field(default=0, ge=0)
    """Number of first epochs in which only the head is trained."""

    peak_rate: float = Field(default=0.2, gt=0)
    """Largest learning rate, at the end of the warm-up."""

    final_rate: float = Field(default=0.0, ge=0)
    """Learning rate at the end of the cosine."""

    warm_up: float = Field(default=0.2, ge=0, lt=1)
    """Share of the steps in which the rate rises. Then it falls on a cosine."""

    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD, first beta of AdamW."""

    weight_decay: float = Field(default=5e-4, ge=0)
    """Weight decay of weights, not of biases or batch-norm."""

    decay_all: bool = False
    """Weight decay of biases and batch-norm too, as in most papers."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of a label's weight that is distributed over all outputs, in the loss and not in the
    attack."""

    mirror_consistency: float = Field(default=0.0, ge=0)
    """Weight of the inconsistency between an image and its mirror image,
    docs/training.md#mirror-consistency."""

    average_decay: float = Field(default=0.998, ge=0, lt=1)
    """Of the exponential moving average of the weights, which is the result of the run; 0 keeps the
    weights themselves."""

    attacked_validation: int | None = Field(default=None, ge=1)
    """Number of images of each side that robust validation attacks,
    docs/training.md#robust-validation; none: a sixteenth of the training images, 50 to 500."""

    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of training; evaluation and export are always float32."""

    @model_validator(mode="after")
    def _freezes_at_most_all_epochs(self) -> Self:
        if self.freeze > self.epochs:
            raise ValueError(f"freeze is {self.freeze}, expected at most epochs, {self.epochs}")
        return self


TRANSFORMERS = ("beit", "cait", "deit", "eva", "former", "mixer", "swin", "vit", "xcit")
"""Parts of the names of transformers and similar networks in timm."""


def schedule_defaults(network: str, *, weights: bool, optimizer: object) -> dict[str, object]:
    """Return the default optimizer, peak rate and weight decay of a kind of network.

    Transformers are trained with AdamW, all other networks with SGD. A network that starts from
    `weights` needs a far smaller rate: a large one destroys them. `optimizer` is the one that the
    recipe selects, or None.
    """
    is_transformer = is_timm_name(network) and any(part in network for part in TRANSFORMERS)
    chosen = optimizer or ("adamw" if is_transformer else "sgd")
    if chosen == "adamw":
        return {
            "optimizer": chosen,
            "peak_rate": 2e-4 if weights else 1e-3,
            "weight_decay": 0.05,
        }
    return {"optimizer": chosen, "peak_rate": 0.01 if weights else 0.2, "weight_decay": 5e-4}
