"""The gradient of an attack's aim with respect to the pixels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Aim = Callable[[Tensor], Tensor]
"""What an attack maximises: logits `(n, K)` to one value an image `(n,)`."""


def value_and_gradient(network: nn.Module, images: Tensor, aim: Aim) -> tuple[Tensor, Tensor]:
    """Return the aim `(n,)` at `images` and its gradient `(n, 3, H, W)`, both detached."""
    images = images.detach().requires_grad_(True)
    with torch.enable_grad():
        value = aim(network(images))
        (gradient,) = torch.autograd.grad(value.sum(), images)
    return value.detach(), gradient


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Hold the network still: evaluation mode, no gradients for its parameters.

    Batch-norm must not see an attack's half-made images: in training mode each of its passes would
    move the running statistics towards pictures that the network is never asked about.
    """
    modes = [(module, module.training) for module in network.modules()]
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module, mode in modes:  # each its own: a part may be held in evaluation mode
            module.training = mode
