"""The network architectures by name.

Every network maps float32 images `(n, 3, H, W)` in [0, 1] to logits `(n, outputs)`, by its
`features` and its `head`. Normalization is its first layer, so that attacks, export and clients
share one pixel space. Pooling is global, so that any image size is accepted.
"""

from collections.abc import Callable, Mapping
from functools import partial

from oodguard.models.networks.classifier import Classifier
from oodguard.models.networks.densenet import DenseNet
from oodguard.models.networks.preact_resnet import PreActResNet18, WideResNet
from oodguard.models.networks.resnet import ResNet

NETWORKS_BY_WIDTH: Mapping[str, Callable[[int, int], Classifier]] = {
    "resnet8": partial(ResNet, 1),
    "resnet14": partial(ResNet, 2),
    "resnet20": partial(ResNet, 3),
}
"""(outputs, width) -> network; `width` is the number of channels of the first stage."""

FIXED_NETWORKS: Mapping[str, Callable[[int], Classifier]] = {
    "densenet-bc-100-12": partial(DenseNet, depth=100, growth=12),
    "wrn-40-2": partial(WideResNet, depth=40, factor=2),
    "preactresnet18": PreActResNet18,
}
"""(outputs) -> network; the architecture fixes every width."""

NETWORK_NAMES = (*NETWORKS_BY_WIDTH, *FIXED_NETWORKS)
