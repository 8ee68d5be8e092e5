"""A batch of synthetic outliers, in equal parts of every generator."""

import torch
from torch import Generator, Tensor

from training.synthetic import GENERATORS


def synthetic_outliers(inliers: Tensor, generator: Generator) -> Tensor:
    """Make one outlier for each of `inliers` `(n, H, W, 3)` uint8, as `(n, 3, H, W)` in [0, 1].

    The order of the generators is turned at random, so that a batch smaller than their number
    favours none in the long run.
    """
    makers = list(GENERATORS.values())
    turn = int(torch.randint(len(makers), (1,), generator=generator))
    parts = inliers.tensor_split(len(makers))
    return torch.cat(
        [
            makers[(turn + index) % len(makers)](part, generator)
            for index, part in enumerate(parts)
            if len(part)
        ]
    )
