"""What an attack climbs, and its gradient with respect to the pixels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Goal = Callable[[Tensor, Tensor], Tensor]
"""What an attack maximises: `(images, rows)` to one value an image `(n,)`.

`images` `(n, 3, H, W)` are pixels in [0, 1]; `rows` `(n,)` say which of the attacked images these
are, for a goal that holds something for each of them, such as labels: an attack may ask about some
of its images only. The network behind a goal is held still by the caller, with `frozen`.
"""


def value_and_gradient(goal: Goal, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the goal `(n,)` at `images` and its gradient `(n, 3, H, W)`, both detached."""
    images = images.detach().requires_grad_(True)
    with torch.enable_grad():
        value = goal(images, rows)
        (gradient,) = torch.autograd.grad(value.sum(), images)
    return value.detach(), gradient


def on_rows(goal: Goal, chosen: Tensor) -> Goal:
    """Return the goal for an attack that is given the images `chosen` `(m,)` alone."""

    def chosen_alone(images: Tensor, rows: Tensor) -> Tensor:
        return goal(images, chosen[rows])

    return chosen_alone


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
