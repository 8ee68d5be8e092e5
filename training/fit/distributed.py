"""Where a run computes: on the GPU if there is one, in one process or in those of torchrun."""

import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor, nn

from oodguard.training.provenance import hardware
from oodguard.training.scoring.network import MixedPrecisionNetwork


class Sharded(nn.Module):
    """The runner of one process's rows; process r of N has the rows r, r + N, r + 2 N...

    In training mode it averages gradients between the processes. In evaluation mode, as an attack
    has it, nothing of the kind is set up, and the logits alone go round.
    """

    def __init__(self, runner: MixedPrecisionNetwork, fabric: Fabric) -> None:
        super().__init__()
        self.runner = runner
        self.synchronised = fabric.setup_module(runner)
        self.fabric = fabric

    def forward(self, images: Tensor) -> Tensor:
        """Map all images `(n, 3, H, W)` to all logits `(n, K)`."""
        processes, own = self.fabric.world_size, self.fabric.global_rank
        run = self.synchronised if self.training else self.runner
        logits: Tensor = run(images[own::processes])
        rows = -(-len(images) // processes)  # of the process that has most
        padded = torch.nn.functional.pad(logits, (0, 0, 0, rows - len(logits)))
        parts = [torch.empty_like(padded) for _ in range(processes)]
        torch.distributed.all_gather(parts, padded.detach().contiguous())
        parts[own] = padded  # with its graph
        return torch.stack(parts, dim=1).flatten(0, 1)[: len(images)]


def divisible(inliers: int, outliers: Tensor, *, processes: int) -> Tensor:
    """Drop the last outliers that keep a batch from being divided evenly, at most processes - 1.

    So an image and its attacked self, in one pass behind one another, fall to the same process.
    """
    return outliers[: len(outliers) - (inliers + len(outliers)) % processes]


def one_process() -> Fabric:
    """Return this process alone, on the first GPU if there is one, else on the processor."""
    return Fabric(accelerator=_accelerator(), devices=1, precision="32-true")


def all_processes() -> Fabric:
    """Return the processes that torchrun started, this being one of them, or this one alone.

    Fabric's own precision stays out of it: `training.precision` says what runs in bfloat16.
    """
    if not TorchElasticEnvironment.detect():
        return one_process()
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=_accelerator(),
        devices=here,
        num_nodes=int(os.environ["WORLD_SIZE"]) // here,
        strategy="ddp",
        precision="32-true",
    )
    fabric.launch()
    return fabric


def shared_statistics(network: nn.Module, fabric: Fabric) -> nn.Module:
    """Return the network with batch-norm over the batch of all processes.

    Torch has that for GPUs alone. On processors each process normalises by its own rows, and the
    running statistics are those of the first.
    """
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return shared
    return network


def computing_on(fabric: Fabric) -> str:
    """Name the hardware, and how many processes share the work if there are several."""
    gpu = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else None
    several = f"{fabric.world_size} processes, each on" if fabric.world_size > 1 else None
    return " ".join(part for part in (several, f"{gpu} with" if gpu else None, hardware()) if part)


def _accelerator() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
