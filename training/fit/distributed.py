"""Devices and processes: the GPU if there is one, one process or those that torchrun started."""

import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor, nn

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
    fabric.launch()
    return fabric


def describe_hardware(fabric: Fabric) -> str:
    """Return the name of the hardware, and the number of processes if there are several."""
    gpu = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else None
    several = f"{fabric.world_size} processes, each on" if fabric.world_size > 1 else None
    return " ".join(part for part in (several, f"{gpu} with" if gpu else None, hardware()) if part)


class ShardedNetwork(nn.Module):
    """Runs one process's share of the rows; process r of N has the rows r, r + N, r + 2 N, ...

    In training mode it averages gradients between the processes. In evaluation mode, which attacks
    use, it exchanges only the logits.
    """

    def __init__(self, runner: MixedPrecisionNetwork, fabric: Fabric) -> None:
        super().__init__()
        self.runner = runner
        self.synchronized = fabric.setup_module(runner)
        self.fabric = fabric

    def forward(self, images: Tensor) -> Tensor:
        """Map all images `(n, 3, H, W)` to all logits `(n, K)`."""
        processes, own = self.fabric.world_size, self.fabric.global_rank
        run = self.synchronized if self.training else self.runner
        logits: Tensor = run(images[own::processes])
        rows = -(-len(images) // processes)  # the largest number of rows of a process
        padded = torch.nn.functional.pad(logits, (0, 0, 0, rows - len(logits)))
        parts = [torch.empty_like(padded) for _ in range(processes)]
        torch.distributed.all_gather(parts, padded.detach().contiguous())
        parts[own] = padded  # with its autograd graph
        return torch.stack(parts, dim=1).flatten(0, 1)[: len(images)]


def drop_remainder(inliers: int, outliers: Tensor, *, processes: int) -> Tensor:
    """Drop the last outliers, at most `processes - 1`, so that a batch divides evenly.

    Then an image and its attacked copy, which follow each other in one pass, belong to the same
    process.
    """
    return outliers[: len(outliers) - (inliers + len(outliers)) % processes]


def synchronize_batch_norm(network: nn.Module, fabric: Fabric) -> nn.Module:
    """Return the network with batch-norm over the batch of all processes.

    Torch supports that on GPUs only. On CPUs each process normalizes by its own rows, and the
    running statistics are those of the first process.
    """
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        synchronized: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return synchronized
    return network


def _accelerator() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
