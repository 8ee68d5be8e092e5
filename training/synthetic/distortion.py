"""Inliers bent until nobody would name them: a strong smooth warp in false colours."""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from training.data import to_pixels
from training.synthetic.colours import stretch

KNOTS = 6  # the warp is smooth between as many points along each side
STRENGTH = 0.6  # standard deviation of the displacement, in halves of the image's side


def distortion(inliers: Tensor, generator: Generator) -> Tensor:
    """Turn `inliers` `(n, H, W, 3)` uint8 into warped pixels `(n, 3, H, W)` in [0, 1]."""
    n, height, width, _ = inliers.shape
    knots = STRENGTH * torch.randn(n, 2, KNOTS, KNOTS, generator=generator)
    displacement = F.interpolate(knots, (height, width), mode="bicubic", align_corners=True)
    identity = torch.eye(2, 3).expand(n, 2, 3)
    grid = F.affine_grid(identity, [n, 3, height, width], align_corners=False)
    bent = F.grid_sample(
        to_pixels(inliers),
        grid + displacement.permute(0, 2, 3, 1),
        padding_mode="reflection",
        align_corners=False,
    )
    order = torch.rand(n, 3, generator=generator).argsort(dim=1)
    recoloured = bent[torch.arange(n)[:, None], order]
    inverted = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
    return stretch(torch.where(inverted, 1 - recoloured, recoloured), generator)
