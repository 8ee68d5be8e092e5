"""Where in the ball an attack begins.

A start at the image itself finds nothing where the gradient is masked just there; a random one is
not always lucky. Several different ones together are hard to be robust against by accident.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from training.attacks.linf import project

Start = Callable[[Tensor, float, torch.Generator], Tensor]
"""`(images (n, 3, H, W) in [0, 1], epsilon, generator)` to images in the balls around them."""

GAUSSIAN_SIGMA = 1e-4  # in [0, 1] pixel units; ProoD's own


def zero(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Begin at the images themselves."""
    return images.clone()


def uniform(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Draw uniformly from the ball, cut to [0, 1].

    Real-valued: noise cut to whole 255ths would be zero at the smallest budgets.
    """
    noise = torch.empty_like(images).uniform_(-epsilon, epsilon, generator=generator)
    return torch.clamp(images + noise, 0, 1)


def decontrasted(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Move every value towards its image's mean as far as the ball allows.

    Bitterwolf et al. 2022 (ProoD), arXiv:2106.04260: a flat picture is one that detectors of
    out-of-distribution images tend to be sure of.
    """
    grey = images.mean(dim=(1, 2, 3), keepdim=True)
    return project(grey.expand_as(images), images, epsilon)


def gaussian(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Add normal noise of standard deviation 1e-4, cut to the ball and to [0, 1].

    Bitterwolf et al. 2022 (ProoD), arXiv:2106.04260: next to the image, but off the point at which
    its gradient may have been made to vanish.
    """
    noise = torch.empty_like(images).normal_(0, GAUSSIAN_SIGMA, generator=generator)
    return project(images + noise, images, epsilon)
