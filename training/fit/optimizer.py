"""The optimizer of a run, the learning rate of a step and the moving average of the weights.

The learning rate and the average's decay are functions of the step alone, so a resumed run repeats
an uninterrupted one bit for bit without stored scheduler state.
docs/decisions/0022-moving-average-and-schedule.md compares torch's own classes.
"""

import copy
import math

import torch
from torch import nn

from oodguard.training.config.schedule import ScheduleSettings

OPTIMIZER_STATE = {
    "momentum": "momentum_buffer",
    "average_gradient": "exp_avg",
    "average_square": "exp_avg_sq",
    "optimizer_step": "step",
}
"""The state of SGD (the first) and AdamW for a parameter: names in checkpoints and in torch."""


def build_optimizer(network: nn.Module, schedule: ScheduleSettings) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum, or AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101).

    Weight decay applies to matrices and kernels; to biases and batch-norm only with `decay_all`.
    """
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": schedule.weight_decay},
        {"params": others, "weight_decay": schedule.weight_decay * schedule.decay_all},
    ]
    rate, momentum = schedule.peak_rate, schedule.momentum
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999))
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0)


def learning_rate(schedule: ScheduleSettings, step: int, *, steps: int) -> float:
    """Return the rate of `step` of `steps`: linear up to the peak, then cosine down to the final.

    With the rise r = warm_up * steps: peak (step + 1) / (r + 1) for step < r, else
    final + (peak - final) (1 + cos(pi (step - r) / (steps - r))) / 2. After Smith and Topin 2018,
    arXiv:1708.07120 (one cycle), without the momentum cycle.
    """
    peak, final = schedule.peak_rate, schedule.final_rate
    rise = schedule.warm_up * steps
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    progress = (step - rise) / max(steps - rise, 1)
    return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2


def start_average(network: nn.Module) -> nn.Module:
    """Return a copy of the network, in evaluation mode and without gradients, to average into."""
    average = copy.deepcopy(network).eval()
    return average.requires_grad_(requires_grad=False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Update the exponential moving average: a <- d a + (1 - d) w.

    d = min(decay, (1 + step) / (10 + step)), so that the initial weights are forgotten within the
    first steps. Batch-norm statistics are averaged like weights; counts are copied.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    targets = average.state_dict()
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            targets[key].lerp_(value, share)
        else:
            targets[key].copy_(value)
