"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import nn


def start_average(network: nn.Module) -> nn.Module:
    """Return a copy of the network to average into; it is never trained itself."""
    average = copy.deepcopy(network).eval()
    return average.requires_grad_(requires_grad=False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Move the average towards the network by 1 - `decay`, faster in the first steps.

    Batch-norm statistics are averaged with the weights they belong to. Early on the decay is at
    most (1 + step) / (10 + step), so that the random initial weights are soon forgotten.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    targets = average.state_dict()
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            targets[key].lerp_(value, share)
        else:
            targets[key].copy_(value)
