"""The images of a batch that each of several processes attacks and learns from."""

from collections.abc import Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from oodguard.models.counts import count_of
from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe
from oodguard.training.scoring.network import MixedPrecisionNetwork


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
            f"a batch has {count_of(outliers, 'outlier')}, expected at least {processes}, one for"
            " each process. Train with fewer processes"
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
