"""The training loop: the steps of an epoch, and the state that training continues from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from oodguard.models.networks.classifier import Classifier
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.augment import augment
from oodguard.training.data.dataset import to_pixels
from oodguard.training.data.images import read_ahead
from oodguard.training.data.outliers import outlier_batches
from oodguard.training.data.training_data import TrainingData
from oodguard.training.fit.catastrophic_overfitting import strengthen
from oodguard.training.fit.distributed import (
    average_statistics,
    copy_from_first,
    single_process,
    sum_gradients,
    synchronize_batch_norm,
)
from oodguard.training.fit.optimizer import (
    OPTIMIZER_STATE,
    build_optimizer,
    learning_rate,
    start_average,
    update_average,
)
from oodguard.training.fit.robust_validation import RobustValidation, ValidationResult
from oodguard.training.fit.shares import ShardedNetwork, check_shares, whole_shares
from oodguard.training.fit.teacher import Teacher
from oodguard.training.objectives import build_objective
from oodguard.training.objectives.base import Batch
from oodguard.training.provenance import epoch_generator, seed_layers
from oodguard.training.scoring.graph import evaluation_batch_size
from oodguard.training.scoring.network import MixedPrecisionNetwork, build_recipe_network
from oodguard.training.weights import InitialWeights, checkpoint_part, load_weights


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """The number of a step within its epoch, its loss and its training accuracy."""

    step: int
    loss: float
    accuracy: float


class Trainer:
    """A network in training, with its moving average and its optimizer.

    All random numbers depend only on the recipe's seed and the number of the epoch, so a checkpoint
    holds no generator state and a resumed run repeats an uninterrupted one. Several processes have
    the same state after every step; on CPUs of different kinds, at the start of every epoch.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: TrainingData,
        fabric: Fabric | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        processes = 1 if fabric is None else fabric.world_size
        pool = None if data.outliers is None else len(data.outliers)
        check_shares(recipe, pool, processes=processes)
        torch.manual_seed(recipe.seed)  # initial weights; torch's layers accept no generator
        self.recipe = recipe
        self.data = data
        self.fabric = fabric or single_process()
        network = build_recipe_network(recipe, classes=len(data.training.classes))
        self.network = synchronize_batch_norm(network.to(self.fabric.device), self.fabric)
        self.several = self.fabric.world_size > 1
        self.runner = self._runner(self.network)
        self.average = start_average(self.network)
        self.teacher = self._runner(teacher.network.to(self.fabric.device)) if teacher else None
        self.objective = build_objective(recipe, self.teacher)
        self.optimizer = build_optimizer(self.network, recipe.schedule)
        self.validation = RobustValidation.from_data(
            recipe,
            data.validation,
            data.held_out or data.outliers,
            training_images=len(data.training),
        )
        self.steps_per_epoch = len(data.training) // recipe.schedule.batch_size

    @property
    def steps(self) -> int:
        """The number of steps of the whole run."""
        return self.recipe.schedule.epochs * self.steps_per_epoch

    def train_epoch(self, epoch: int) -> Iterator[StepResult]:
        """Train epoch number `epoch`, counted from 0, and yield the result of every step."""
        decay = self.recipe.schedule.average_decay
        order, draws = self._generators(epoch)
        seed_layers(self.recipe.seed, epoch, process=self.fabric.global_rank)
        if self.several:  # a checkpoint has the state of the first, which all continue from
            copy_from_first(self.state().values(), self.fabric)
        self.runner.train()
        frozen = self._freeze_features() if epoch < self.recipe.schedule.freeze else []
        for index, batch in enumerate(self._batches(order, draws)):
            step = epoch * self.steps_per_epoch + index
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate(step)
            result = self.objective(self.runner, replace(batch, progress=step / self.steps), draws)
            self.optimizer.zero_grad(set_to_none=True)
            self.fabric.backward(result.loss)
            if self.several:
                sum_gradients(self.network)
                average_statistics(self.network)
            for parameter in frozen:
                parameter.grad = None  # the optimizer skips it
            self.optimizer.step()
            update_average(self.average, self.network, decay=decay, step=step)
            accuracy = (result.inlier_logits.argmax(1) == batch.labels).float().mean()
            yield StepResult(step=index, loss=result.loss.item(), accuracy=accuracy.item())

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step of the run, counted from 0."""
        return learning_rate(self.recipe.schedule, step, steps=self.steps)

    def learning_rate_after(self, epoch: int) -> float:
        """Return the learning rate at the end of an epoch, counted from 0."""
        return self.learning_rate((epoch + 1) * self.steps_per_epoch - 1)

    def validate(self) -> ValidationResult:
        """Measure the averaged network in the first process, and return the result in all."""
        first = self.fabric.is_global_zero
        result = self.validation(self.average) if first else None
        return cast("ValidationResult", self.fabric.broadcast(result))

    def start_from(self, weights: InitialWeights) -> list[str]:
        """Load initial weights into the network and its average; return notes about them.

        Raises:
            CheckpointError: The weights do not fit the network.
        """
        notes = weights.load_into(cast("Classifier", self.network), self._sample)
        self.average.load_state_dict(self.network.state_dict())
        return notes

    def strengthen_attack(self, rollbacks: int) -> None:
        """Train with the attack that applies after so many rollbacks."""
        if self.recipe.attack is not None:
            attack = strengthen(self.recipe.attack, rollbacks)
            recipe = self.recipe.model_copy(update={"attack": attack})
            self.objective = build_objective(recipe, self.teacher)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors of a checkpoint: the network, its average, the optimizer."""
        parts = {"network": self.network.state_dict(), "average": self.average.state_dict()}
        for part, key in OPTIMIZER_STATE.items():
            parts[part] = {
                name: self.optimizer.state[parameter][key]
                for name, parameter in self.network.named_parameters()
                if key in self.optimizer.state.get(parameter, {})  # not of a frozen parameter
            }
        return {f"{name}.{key}": t for name, tensors in parts.items() for key, t in tensors.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Load the tensors that `state` returned.

        Raises:
            CheckpointError: The tensors are those of another network.
        """
        for part, network in (("network", self.network), ("average", self.average)):
            weights = checkpoint_part(tensors, part)
            load_weights(network, weights, origin=f"the checkpoint's {part}")
        # A checkpoint has no state of frozen parameters; this network may have trained further.
        self.optimizer.state.clear()
        for part, key in OPTIMIZER_STATE.items():
            values = checkpoint_part(tensors, part)
            for name, parameter in self.network.named_parameters():
                if name in values:
                    # torch holds AdamW's step counts on the CPU
                    device = "cpu" if key == "step" else parameter.device
                    self.optimizer.state[parameter][key] = values[name].to(device)

    def _runner(self, network: nn.Module) -> nn.Module:
        """Return a network in the recipe's precision that shares its rows between processes."""
        runner = MixedPrecisionNetwork(network, self.recipe.schedule.precision)
        return ShardedNetwork(runner, self.fabric) if self.several else runner

    @property
    def _sample(self) -> Tensor:
        """Some of the images of both sides, as pixels on the device."""
        sides = (self.data.training, self.data.outliers)
        images = [side.images for side in sides if side is not None]
        count = evaluation_batch_size(*images[0].shape[1:3])
        sample = torch.cat([to_pixels(each[:count]) for each in images])
        return sample.to(self.fabric.device)

    def _freeze_features(self) -> list[nn.Parameter]:
        """Put all but the head into evaluation mode; return its parameters.

        The statistics of batch-norm layers do not change in evaluation mode.
        """
        network = cast("Classifier", self.network)
        network.eval()
        network.head.train()
        head = set(network.head.parameters())
        return [parameter for parameter in network.parameters() if parameter not in head]

    def _generators(self, epoch: int) -> tuple[torch.Generator, torch.Generator]:
        """Return the generators of the order of the images, and of augmentation and attacks.

        The second is on the device; on a CPU they are the same.
        """
        seed, device = self.recipe.seed, self.fabric.device
        order = epoch_generator(seed, epoch)
        return order, order if device.type == "cpu" else epoch_generator(seed, epoch, device)

    def _batches(self, order: torch.Generator, draws: torch.Generator) -> Iterator[Batch]:
        """Yield the whole batches of an epoch, the same in every process, on the device."""
        size, device = self.recipe.schedule.batch_size, self.fabric.device
        training = self.data.training
        rows = torch.randperm(len(training), generator=order)
        outliers = outlier_batches(
            self.recipe.outliers,
            self.data.outliers,
            training,
            size=self.recipe.outliers_per_batch,
            order=order,
            generator=draws,
        )
        outliers = whole_shares(outliers, processes=self.fabric.world_size)
        batches = rows[: self.steps_per_epoch * size].split(size)
        for batch, images in zip(batches, read_ahead(training.images, batches), strict=True):
            inliers = augment(
                images,
                draws,
                mirror=self.recipe.inliers.mirror,
                distortion=self.recipe.inliers.distort,
            )
            yield Batch(
                inliers=inliers,
                labels=training.labels[batch].to(device),
                outliers=next(outliers),
                smoothing=self.recipe.schedule.label_smoothing,
            )
