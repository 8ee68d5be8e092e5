"""Devices and processes: the GPU if there is one, one process or those that torchrun started."""

import os
from collections.abc import Iterable, Iterator

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor, nn

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe
from oodguard.training.provenance import hardware
from oodguard.training.scoring.network import MixedPrecisionNetwork


def single_process() -> Fabric:
    """Return this process alone, on the first GPU if there is one, else on the CPU."""
    return Fabric(accelerator=_accelerator(), devices=1, precision="32-true")


def launch_processes() -> Fabric:
    """Return the processes that torchrun started, or this process alone without torchrun.

    Fabric runs in float32; `schedule.precision` selects bfloat16 in `MixedPrecisionNetwork`.
    """
    if not TorchElasticEnvironment.detect():
        return single_process()
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=_accelerator(),
        devices=local,
        num_nodes=int(os.environ["WORLD_SIZE"]) // local,
        strategy="ddp",
        precision="32-true",
    )
    threads = torch.get_num_threads()
    fabric.launch()  # shares the CPUs between the processes, whatever --threads is
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    return fabric


def describe_hardware(fabric: Fabric) -> str:
    """Return the name of the hardware, and the number of processes if there are several."""
    gpu = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else None
    several = f"{fabric.world_size} processes, each on" if fabric.world_size > 1 else None
    return " ".join(part for part in (several, f"{gpu} with" if gpu else None, hardware()) if part)


class ShardedNetwork(nn.Module):
    """Runs one process's share of the rows; process r of N has the rows r, r + N, r + 2 N, ...

    It exchanges the logits. Each process has the gradients of its own rows, see `sum_gradients`.
    """

    def __init__(self, runner: MixedPrecisionNetwork, fabric: Fabric) -> None:
        super().__init__()
        self.runner = runner
        self.fabric = fabric

    def forward(self, images: Tensor) -> Tensor:
        """Map all images `(n, 3, H, W)` to all logits `(n, K)`."""
        processes, own = self.fabric.world_size, self.fabric.global_rank
        logits: Tensor = self.runner(images[own::processes])
        rows = -(-len(images) // processes)  # the largest number of rows of a process
        padded = torch.nn.functional.pad(logits, (0, 0, 0, rows - len(logits)))
        parts = [torch.empty_like(padded) for _ in range(processes)]
        torch.distributed.all_gather(parts, padded.detach().contiguous())
        parts[own] = padded  # with its autograd graph
        return torch.stack(parts, dim=1).flatten(0, 1)[: len(images)]


def check_shares(recipe: Recipe, pool: int | None, *, processes: int) -> None:
    """Check that the inliers of a batch divide evenly between the processes.

    A process attacks its own rows of a pass. With `whole_shares` of outliers, an image is in the
    share of the same process in every pass: alone, after the inliers and after its original.

    Args:
        recipe: The recipe of the run.
        pool: The number of real outliers, or None.
        processes: The number of processes.

    Raises:
        RecipeError: They do not.
    """
    size = recipe.schedule.batch_size
    if size % processes:
        lower = size - size % processes
        nearest = f"{lower} or {lower + processes}" if lower else str(processes)
        raise RecipeError(
            f"schedule.batch_size is {size}, expected a multiple of {processes}, the number of"
            f" processes, such as {nearest}"
        )
    outliers = recipe.outliers_per_batch if pool is None else min(pool, recipe.outliers_per_batch)
    if recipe.outliers is not None and outliers < processes:
        raise RecipeError(
            f"a batch has {outliers} outliers, expected at least {processes}, one for each process."
            " Train with fewer processes"
        )
    if recipe.method == "atom" and recipe.schedule.mirror_consistency and processes > 1:
        raise RecipeError(
            f"schedule.mirror_consistency with method 'atom' is trained by {processes} processes,"
            " expected 1: the number of mined outliers may not divide between several"
        )


def whole_shares(batches: Iterator[Tensor], *, processes: int) -> Iterator[Tensor]:
    """Drop the last outliers of each batch, at most `processes - 1`, so that it divides evenly.

    A batch that would be empty then, the last of a pass over the outliers, is left out.
    """
    for batch in batches:
        kept = batch[: len(batch) - len(batch) % processes]
        if len(kept) or not len(batch):
            yield kept


def sum_gradients(network: nn.Module) -> None:
    """Replace the gradients of each process by their sum over all processes.

    They are exchanged as one tensor, in the order of the parameters. The order in which floats are
    summed depends on their places in it. torch's DistributedDataParallel changes these places after
    the first step of a session, so with three processes a resumed run would differ by rounding.
    """
    gradients = [each.grad for each in network.parameters() if each.grad is not None]
    _sum(gradients)


def average_statistics(network: nn.Module) -> None:
    """Replace the running statistics of batch-norm by their mean over all processes.

    They differ on CPUs, where each process normalizes by its own rows.
    """
    layers = [
        each
        for each in network.modules()
        if isinstance(each, nn.modules.batchnorm._BatchNorm)
        and not isinstance(each, nn.SyncBatchNorm)
        and each.training
    ]
    found = [each for layer in layers for each in (layer.running_mean, layer.running_var)]
    statistics = [each for each in found if each is not None]
    _sum(statistics)
    for each in statistics:
        each.div_(torch.distributed.get_world_size())


def copy_from_first(tensors: Iterable[Tensor], fabric: Fabric) -> None:
    """Replace the tensors of each process by those of the first process."""
    for tensor in tensors:
        sent = tensor.to(fabric.device).contiguous()
        torch.distributed.broadcast(sent, src=0)
        if sent is not tensor:
            tensor.copy_(sent)


def _sum(tensors: list[Tensor]) -> None:
    """Sum tensors over the processes, in place and as one tensor."""
    if not tensors:
        return
    joined = torch.cat([each.flatten() for each in tensors])
    torch.distributed.all_reduce(joined)
    for each, part in zip(tensors, joined.split([each.numel() for each in tensors]), strict=True):
        each.copy_(part.view_as(each))


def synchronize_batch_norm(network: nn.Module, fabric: Fabric) -> nn.Module:
    """Return the network with batch-norm over the batch of all processes.

    Torch supports that on GPUs only. On CPUs each process normalizes by its own rows.
    """
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        synchronized: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return synchronized
    return network


def _accelerator() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
