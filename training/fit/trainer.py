"""The training loop: epochs of steps over one network, one objective and one schedule."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from oodguard.training.config.recipe import Recipe
from oodguard.training.data.augment import augment_inliers, distort
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.outliers import outlier_batches
from oodguard.training.fit.catastrophic_overfitting import strengthened
from oodguard.training.fit.distributed import Sharded, divisible, one_process, shared_statistics
from oodguard.training.fit.robust_validation import RobustValidation, ValidationResult
from oodguard.training.objectives import OBJECTIVES
from oodguard.training.objectives.base import Batch
from oodguard.training.provenance import drawn_from
from oodguard.training.run_folder import load_weights, part
from oodguard.training.scoring.network import MixedPrecisionNetwork, build_recipe_network


def start_average(network: nn.Module) -> nn.Module:
    """Return a copy of the network to average into; it is never trained itself."""
    average = copy.deepcopy(network).eval()
    return average.requires_grad_(requires_grad=False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Move the average towards the network by 1 - `decay`, faster in the first steps.

    Batch-norm statistics are averaged with the weights they belong to. Early on the decay is at
    most (1 + step) / (10 + step), so that the random initial weights are soon forgotten.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    targets = average.state_dict()
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            targets[key].lerp_(value, share)
        else:
            targets[key].copy_(value)


def rate(step: int, *, steps: int, peak: float, warm_up: float, final: float = 0.0) -> float:
    """Rate at `step` of `steps`: linear from near zero over the `warm_up` share, cosine to `final`.

    After Smith and Topin 2018, arXiv:1708.07120 (one cycle), without its momentum cycle.
    """
    rising = warm_up * steps
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    progress = (step - rising) / max(steps - rising, 1)
    return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What an epoch reads; `outliers` is None for methods that use none.

    `held_out` outliers are watched and not trained on; where there are none, the first of the
    others are watched.
    """

    training: ImageSet
    validation: ImageSet
    outliers: ImageSet | None
    held_out: ImageSet | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """One finished step, for the progress bar: its loss and its share of right answers."""

    step: int
    loss: float
    accuracy: float


class Trainer:
    """A network in training.

    All randomness comes from the recipe's seed and the epoch's number, so a checkpoint needs no
    generator state and a resumed run repeats the uninterrupted one.
    """

    def __init__(self, recipe: Recipe, data: Data, fabric: Fabric | None = None) -> None:
        torch.manual_seed(recipe.seed)  # initial weights; torch's layers take no generator
        self.recipe = recipe
        self.data = data
        self.fabric = fabric or one_process()
        network = build_recipe_network(recipe, classes=len(data.training.classes)).to(
            self.fabric.device
        )
        self.network = shared_statistics(network, self.fabric)
        runner = MixedPrecisionNetwork(self.network, recipe.schedule.precision)
        self.average = start_average(self.network)
        several = self.fabric.world_size > 1
        self.runner = Sharded(runner, self.fabric) if several else runner
        self.objective = OBJECTIVES[recipe.method](recipe)
        self.optimizer = _optimizer(self.network, recipe)
        self.watch = RobustValidation.of(recipe, data.validation, data.held_out or data.outliers)
        self.steps_per_epoch = len(data.training) // recipe.schedule.batch_size

    def train_epoch(self, epoch: int) -> Iterator[Tick]:
        """Train epoch number `epoch`, counted from 0, yielding after every step."""
        decay = self.recipe.schedule.average_decay
        batches, attacks = self._generators(epoch)
        self.runner.train()
        for index, batch in enumerate(self._batches(batches)):
            step = epoch * self.steps_per_epoch + index
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(step)
            result = self.objective(
                self.runner, replace(batch, progress=step / self.steps), attacks
            )
            self.optimizer.zero_grad(set_to_none=True)
            # Gradients are averaged between processes, and the whole loss wants their sum.
            self.fabric.backward(result.loss * self.fabric.world_size)
            self.optimizer.step()
            update_average(self.average, self.network, decay=decay, step=step)
            right = (result.inlier_logits.argmax(1) == batch.labels).float().mean()
            yield Tick(step=index, loss=result.loss.item(), accuracy=right.item())

    @property
    def steps(self) -> int:
        """The steps of the whole run."""
        return self.recipe.schedule.epochs * self.steps_per_epoch

    def rate(self, step: int) -> float:
        """Return the learning rate of a step of the run, counted from 0."""
        schedule = self.recipe.schedule
        return rate(
            step,
            steps=self.steps,
            peak=schedule.peak_rate,
            warm_up=schedule.warm_up,
            final=schedule.final_rate,
        )

    def measure(self) -> ValidationResult:
        """Measure the averaged network, in the first process, for all of them."""
        first = self.fabric.is_global_zero
        return cast(
            "ValidationResult", self.fabric.broadcast(self.watch(self.average) if first else None)
        )

    def begin_with(self, weights: dict[str, Tensor], *, origin: str) -> None:
        """Start from a network's weights; their average starts there too.

        Raises:
            CheckpointError: they are of another network.
        """
        load_weights(self.network, weights, origin=origin)
        load_weights(self.average, weights, origin=origin)

    def harden(self, times: int) -> None:
        """Train on with the stronger attack that so many roll-backs call for."""
        if self.recipe.attack is not None:
            attack = strengthened(self.recipe.attack, times)
            hardened = self.recipe.model_copy(update={"attack": attack})
            self.objective = OBJECTIVES[self.recipe.method](hardened)

    def state(self) -> dict[str, Tensor]:
        """Return every tensor that training goes on from."""
        momenta = {
            name: self.optimizer.state[parameter]["momentum_buffer"]
            for name, parameter in self.network.named_parameters()
            if parameter in self.optimizer.state  # a part that never trains has no momentum
        }
        parts = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "momentum": momenta,
        }
        return {f"{name}.{key}": t for name, tensors in parts.items() for key, t in tensors.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned.

        Raises:
            CheckpointError: it was of another network.
        """
        load_weights(self.network, part(tensors, "network"), origin="the checkpoint")
        load_weights(self.average, part(tensors, "average"), origin="the checkpoint")
        momenta = part(tensors, "momentum")
        for name, parameter in self.network.named_parameters():
            if name in momenta:
                momentum = momenta[name].to(parameter.device)
                self.optimizer.state[parameter]["momentum_buffer"] = momentum

    def _generators(self, epoch: int) -> tuple[torch.Generator, torch.Generator]:
        """Return those of the batches and of the attacks: one and the same on the processor."""
        seed, device = self.recipe.seed, self.fabric.device
        batches = drawn_from(seed, epoch)
        return batches, batches if device.type == "cpu" else drawn_from(seed, epoch, device)

    def _batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Draw the batches of an epoch, whole and alike in every process, and move them over."""
        size, device = self.recipe.schedule.batch_size, self.fabric.device
        training = self.data.training
        order = torch.randperm(len(training), generator=generator)
        outliers = self._outlier_batches(generator)
        for index in range(self.steps_per_epoch):
            chosen = order[index * size : (index + 1) * size]
            inliers = self._inliers(training.images[chosen], generator)
            others = divisible(size, next(outliers), processes=self.fabric.world_size)
            yield Batch(
                inliers=inliers.to(device),
                labels=training.labels[chosen].to(device),
                outliers=others.to(device),
                smoothing=self.recipe.schedule.label_smoothing,
            )

    def _inliers(self, images: Tensor, generator: torch.Generator) -> Tensor:
        settings = self.recipe.inliers
        pixels = augment_inliers(images, generator, mirror=settings.mirror)
        if not settings.distort:
            return pixels
        return distort(pixels, generator, strength=settings.distort)

    def _outlier_batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        settings, training = self.recipe.outliers, self.data.training
        if settings is None:
            return repeat(torch.empty(0, *training.images.shape[1:]).permute(0, 3, 1, 2))
        return outlier_batches(
            settings,
            self.data.outliers,
            training,
            size=self.recipe.outliers_per_batch,
            generator=generator,
        )


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    schedule = recipe.schedule
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return torch.optim.SGD(
        [
            {"params": weights, "weight_decay": schedule.weight_decay},
            {"params": others, "weight_decay": schedule.weight_decay * schedule.decay_all},
        ],
        lr=schedule.peak_rate,
        momentum=schedule.momentum,
        nesterov=True,
    )
