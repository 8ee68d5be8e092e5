"""Build the networks of published checkpoints, with depth and widths read from the shapes.

Each builder maps the tensors of a file to a network with random weights.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from benchmarks.foreign.networks import (
    DiscriminatorHead,
    PostActNetwork,
    PreActNetwork,
    PreActStyle,
    Standardize,
)
from oodguard.models.errors import CheckpointError
from oodguard.models.networks.classifier import Classifier
from oodguard.models.networks.densenet import DenseNet
from oodguard.training.weights import load_weights

Tensors = Mapping[str, Tensor]
Channels = tuple[float, float, float]

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)
ALOE_MEAN, ALOE_STD = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)

OTHER_FAMILY = (
    "Choose the `family` that docs/leaderboard.md names for this file, or another `part` of a file"
    " that has several networks"
)
"""The remedy where a file does not fit the network of its description."""

OTHER_DISCRIMINATOR = "Choose the `discriminator` and the `file` of one ATD network"

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "silu": F.silu}


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """The normalization and, for the pre-activation families, the activation.

    None selects that of the file, and that of the family if the file has none.
    """

    mean: Channels | None = None
    std: Channels | None = None
    activation: str | None = None

    def layer(self, mean: Channels | None, std: Channels | None) -> nn.Module:
        """Return the first layer; without a mean and a deviation, the pixels are the input."""
        mean, std = self.mean or mean, self.std or std
        return Standardize(mean, std) if mean and std else nn.Identity()

    def completed(self, tensors: Tensors) -> "Preprocessing":
        """Return these settings, completed by the normalization in a file."""
        mean = self.mean or _channels(tensors, "mean", "mu")
        return replace(self, mean=mean, std=self.std or _channels(tensors, "std", "sigma"))


def _channels(tensors: Tensors, *names: str) -> Channels | None:
    """Return the three numbers of the first of these tensors, or None if there is none of them."""
    for name in names:
        if name in tensors:
            red, green, blue = tensors[name].flatten().tolist()
            return red, green, blue
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class PreAct:
    """The builder of a family of pre-activation networks.

    `blocks` matches the names of the blocks, with the numbers of stage and block as groups.
    `widths` is the name of the first convolution of a stage, whose numbers begin at `first`.
    """

    stem: str
    head: str
    blocks: str
    widths: str
    first: int
    style: PreActStyle
    activation: str = "relu"
    mean: Channels | None = None
    std: Channels | None = None

    def __call__(self, tensors: Tensors, preprocessing: Preprocessing) -> Classifier:
        """Return the network with random weights."""
        blocks = count_blocks(tensors, self.blocks)
        numbers = range(self.first, self.first + len(blocks))
        return PreActNetwork(
            len(tensors[self.head]),
            standardize=preprocessing.layer(self.mean, self.std),
            stem=len(tensors[self.stem]),
            widths=[len(tensors[self.widths.format(number)]) for number in numbers],
            blocks=blocks,
            style=replace(
                self.style, activation=ACTIVATIONS[preprocessing.activation or self.activation]
            ),
        )


def atd(base: Classifier, discriminator: Tensors, *, origin: str) -> Classifier:
    """Return a classifier whose reject output is the discriminator of ATD, in evaluation mode.

    Raises:
        CheckpointError: The discriminator is not one of features, or of features of another size.
    """
    weights = discriminator.get("main.0.weight")
    if weights is None:
        raise CheckpointError(
            f"{origin} is no discriminator of ATD: it has no tensor main.0.weight."
            f" {OTHER_DISCRIMINATOR}"
        )
    head = DiscriminatorHead(base.head, weights.shape[1])
    load_weights(
        head,
        {**_prefixed("classes.", base.head), **discriminator},
        origin=origin,
        target="the features of the network and the discriminator of ATD",
        remedy=OTHER_DISCRIMINATOR,
    )
    base.head = head
    return base.eval().requires_grad_(requires_grad=False)


def _prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}


def count_blocks(tensors: Tensors, pattern: str) -> list[int]:
    """Return the number of blocks of each stage."""
    found = {(match[1], match[2]) for name in tensors if (match := re.match(pattern, name))}
    stages = sorted({number for number, _ in found})
    if not stages:
        raise KeyError(f"that matches {pattern}")
    return [sum(number == each for number, _ in found) for each in stages]


def preact_resnet(tensors: Tensors, preprocessing: Preprocessing) -> Classifier:
    """Build either version: with a norm before the head, shortcuts are of the activated input."""
    normed = "bn.weight" in tensors
    return PreAct(
        stem="conv1.weight",
        head="linear.weight",
        blocks=r"layer(\d)\.(\d+)\.",
        widths="layer{}.0.conv1.weight",
        first=1,
        style=PreActStyle(activated_shortcut=normed, last_norm=normed),
    )(tensors, preprocessing)


def resnet18(tensors: Tensors, preprocessing: Preprocessing) -> Classifier:
    """Build the usual ResNet-18 of CIFAR: four stages of two blocks."""
    return PostActNetwork(
        len(tensors["linear.weight"]),
        standardize=preprocessing.layer(None, None),
        stem=len(tensors["conv1.weight"]),
        widths=[len(tensors[f"layer{number}.0.conv1.weight"]) for number in range(1, 5)],
        strides=(1, 1, 2, 2, 2),
        norm=True,
    )


def cresnet(tensors: Tensors, preprocessing: Preprocessing) -> Classifier:
    """Build a residual network without norms, whose head sees all positions."""
    stages = len(count_blocks(tensors, r"layer(\d)\.(\d+)\."))
    return PostActNetwork(
        len(tensors["linear2.weight"]),
        standardize=preprocessing.layer(CIFAR10_MEAN, CIFAR10_STD),
        stem=len(tensors["conv1.weight"]),
        widths=[len(tensors[f"layer{each}.0.conv1.weight"]) for each in range(1, stages + 1)],
        strides=(2,) * (stages + 1),
        norm=False,
        dense=tensors["linear1.weight"].shape[1],
    )


def densenet(tensors: Tensors, preprocessing: Preprocessing) -> Classifier:
    """Build DenseNet-BC of any depth and growth."""
    layers = count_blocks(tensors, r"block(\d)\.layer\.(\d+)\.")[0]
    growth = len(tensors["block1.layer.0.conv2.weight"])
    network = DenseNet(len(tensors["fc.weight"]), depth=6 * layers + 4, growth=growth)
    network.layers[0] = preprocessing.layer(ALOE_MEAN, ALOE_STD)
    return network
