"""The `[schedule]` table of a recipe: epochs, optimizer and learning rate, and their defaults."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from oodguard.models.frozen_model import FrozenModel
from oodguard.models.networks.timm_network import is_timm_name

OptimizerName = Literal["sgd", "adamw"]


class ScheduleSettings(FrozenModel):
    """The optimizer, and its rate: linear warm-up over `warm_up` of the steps, then cosine decay.

    `optimizer` is SGD with Nesterov momentum or AdamW, whose first beta is `momentum`. A recipe
    has other defaults of `optimizer`, `peak_rate` and `weight_decay` for some networks, see
    `schedule_defaults`. In the first `freeze` epochs only the head is trained. Robust validation
    attacks `attacked_validation` images of each side, None for a number that fits the data.
    `average_decay` is the decay of the exponential moving average of the weights, which is the
    result of the run; 0 keeps the weights themselves. With `decay_all` weight decay also applies to
    biases and batch-norm parameters. `mirror_consistency` is the weight in the loss of the
    inconsistency between an image and its mirror image (`objectives.mirror`).
    """

    model_config = ConfigDict(allow_inf_nan=False)

    epochs: int = Field(ge=1)
    batch_size: int = Field(default=128, ge=2)
    optimizer: OptimizerName = "sgd"
    freeze: int = Field(default=0, ge=0)
    peak_rate: float = Field(default=0.2, gt=0)
    final_rate: float = Field(default=0.0, ge=0)
    warm_up: float = Field(default=0.2, ge=0, lt=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    decay_all: bool = False
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    mirror_consistency: float = Field(default=0.0, ge=0)
    average_decay: float = Field(default=0.998, ge=0, lt=1)
    attacked_validation: int | None = Field(default=None, ge=1)
    precision: Literal["bfloat16", "float32"] = "bfloat16"

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
