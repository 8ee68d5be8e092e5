"""The progress of a training run: its epochs, rollbacks, origin and checkpoint."""

from pydantic import Field

from oodguard.models.frozen_model import FrozenModel


class Epoch(FrozenModel):
    """The results of one epoch, counted from 0; accuracies are shares in [0, 1].

    `attacked_auroc` is that of the validation score with both sides attacked, None without one.
    `validation_s` is the part of `duration_s` that robust validation took, None in older runs.
    """

    epoch: int
    loss: float
    training_accuracy: float
    accuracy: float
    attacked_accuracy: float
    duration_s: float
    attacked_auroc: float | None = None
    validation_s: float | None = None


class Rollback(FrozenModel):
    """A return to the weights after `kept` epochs because of catastrophic overfitting.

    `reason` names the measure that dropped, `attack` describes the training attack from then on,
    and `lost` are the discarded epochs.
    """

    reason: str
    kept: int
    attack: str
    lost: tuple[Epoch, ...]


class WeightsOrigin(FrozenModel):
    """The file that a run's initial weights or its teacher were read from, and its sha256.

    `same_split` is whether the weights were trained with the split of the run, so that they learned
    no calibration image of it; None if this is not known, as for a file of weights and in older
    runs.
    """

    name: str
    sha256: str
    same_split: bool | None = Field(default=None, exclude_if=lambda value: value is None)


class RunProgress(FrozenModel):
    """The finished epochs of a run, and the hardware, command and libraries that produced them.

    `tensors` is the name of the checkpoint file. `good` is the number of epochs after which
    robustness was last intact; the tensors of that epoch are retained for a rollback.
    """

    tensors: str
    epochs: tuple[Epoch, ...]
    hardware: str
    command: str
    libraries: dict[str, str]
    training_images: int
    outlier_images: int
    good: int | None = None
    rolled_back: tuple[Rollback, ...] = ()
    started_from: WeightsOrigin | None = None
    teacher: WeightsOrigin | None = None

    @property
    def duration_s(self) -> float:
        """The training time of all sessions of the run in seconds, including discarded epochs."""
        lost = [epoch for rollback in self.rolled_back for epoch in rollback.lost]
        return sum(epoch.duration_s for epoch in (*self.epochs, *lost))


def tensors_name(epochs: int) -> str:
    """Return the name of the tensor file after `epochs` epochs."""
    return f"epoch-{epochs:03d}.safetensors"
