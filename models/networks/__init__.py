"""The network architectures by name.

Every network maps float32 images `(n, 3, H, W)` in [0, 1] to logits `(n, outputs)`, by its
`features` and its `head`. Normalization is its first layer, so that attacks, export and clients
share one pixel space. Pooling is global, so that any image size is accepted.
"""

from collections.abc import Callable, Mapping
from functools import partial

from oodguard.models.errors import RecipeError
from oodguard.models.networks.classifier import Classifier
from oodguard.models.networks.densenet import DenseNet
from oodguard.models.networks.imported import build_imported, is_import_string
from oodguard.models.networks.preact_resnet import PreActResNet18, WideResNet
from oodguard.models.networks.resnet import ResNet
from oodguard.models.networks.timm_network import IMAGE_SIZE, PREFIX, TimmNetwork, is_timm_name

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


def check_name(name: str, *, width: int | None) -> None:
    """Check the name and the width of a network without building it.

    Raises:
        RecipeError: The name is unknown, the width is missing, or the network has a fixed width.
    """
    if name in NETWORKS_BY_WIDTH:
        if width is None:
            raise RecipeError(f"width: {name!r} requires a width, such as 32")
    elif name in FIXED_NETWORKS or is_timm_name(name):
        if width is not None:
            raise RecipeError(f"width is {width}, but {name!r} has a fixed width: remove the key")
        if name == PREFIX:
            raise RecipeError(f"name is {name!r}, expected a model, such as 'timm:resnet18'")
    elif not is_import_string(name):
        raise RecipeError(
            f"name is {name!r}, expected one of {sorted(NETWORK_NAMES)}, a model of timm such as"
            " 'timm:resnet18', or a factory 'package.module:factory' or 'path/to/file.py:factory'"
        )


def build_network(
    name: str, outputs: int, *, width: int | None, size: tuple[int, int] = IMAGE_SIZE
) -> Classifier:
    """Build the network `name` with random weights and `outputs` logits.

    `size`, height and width of the images, matters only to networks of a fixed image size.

    Raises:
        RecipeError: See `check_name`, `TimmNetwork` and `build_imported`.
    """
    check_name(name, width=width)
    if is_timm_name(name):
        return TimmNetwork(name, outputs, size=size)
    if is_import_string(name):
        return build_imported(name, outputs, width=width)
    if width is None:
        return FIXED_NETWORKS[name](outputs)
    return NETWORKS_BY_WIDTH[name](outputs, width)
