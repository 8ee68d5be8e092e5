"""The network architectures by name.

Every network maps float32 images ``(n, 3, H, W)`` in [0, 1] to logits ``(n, K)``. Normalisation is
its first layer, so that attacks, export and clients share one pixel space.
"""

from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

from models.networks.resnet import ResNet

Factory = Callable[[int, int], nn.Module]  # (classes, width) -> network

NETWORKS: Mapping[str, Factory] = {
    "resnet8": partial(ResNet, 1),
    "resnet14": partial(ResNet, 2),
    "resnet20": partial(ResNet, 3),
}
