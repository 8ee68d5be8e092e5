"""One network over several processes, each of which runs its rows of every batch.

All processes hold the whole batch, drawn alike, and see the logits of all of it; so every objective
is that of one process, also one that ranks a batch or takes a mean over part of it. Only a
process's own rows have a gradient there: an attack moves these, and the sum of the processes'
gradients for the weights is that of the whole loss.
"""

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from training.precision import Runner


class Sharded(nn.Module):
    """The runner of one process's rows; process r of N has the rows r, r + N, r + 2 N...

    In training mode it averages gradients between the processes. In evaluation mode, as an attack
    has it, nothing of the kind is set up, and the logits alone go round.
    """

    def __init__(self, runner: Runner, fabric: Fabric) -> None:
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
