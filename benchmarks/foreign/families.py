"""The families of published checkpoints, and the translation of their names.

docs/leaderboard.md lists the files that each family reads.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from benchmarks.foreign.builders import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    OTHER_FAMILY,
    PreAct,
    Preprocessing,
    Tensors,
    count_blocks,
    cresnet,
    densenet,
    preact_resnet,
    resnet18,
)
from benchmarks.foreign.networks import PreActStyle
from oodguard.models.errors import CheckpointError
from oodguard.models.networks.classifier import Classifier
from oodguard.training.weights import load_weights

Names = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]
"""Patterns and their replacements, all of which are applied in turn to a name in a file."""

UNUSED = re.compile(r"(mean|std|mu|sigma)$|sub_block1\.")
"""Tensors that are no weights: the normalization, and a block that TRADES' code never runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A builder, and the translation of the names in a file to those of the network."""

    build: Callable[[Tensors, Preprocessing], Classifier]
    names: Callable[[Tensors], Names]

    def network(self, tensors: Tensors, preprocessing: Preprocessing, *, origin: str) -> Classifier:
        """Return the network with the weights of a file, in evaluation mode.

        Raises:
            CheckpointError: A name or shape does not fit the family.
        """
        weights = {name: tensor for name, tensor in tensors.items() if not UNUSED.match(name)}
        try:
            network = self.build(weights, preprocessing.completed(tensors))
            names = self.names(weights)
        except KeyError as error:
            raise CheckpointError(
                f"{origin} does not fit its family: it has no tensor {error.args[0]}."
                f" {OTHER_FAMILY}"
            ) from error
        counts = [name for name in network.state_dict() if name.endswith("num_batches_tracked")]
        translated = dict.fromkeys(counts, torch.tensor(0))
        for name, tensor in weights.items():
            new = name
            for pattern, replacement in names:
                new = re.sub(pattern, replacement, new)
            translated[new] = tensor
        load_weights(
            network,
            translated,
            origin=origin,
            target="the network of its family, whose tensors have this project's names",
            remedy=OTHER_FAMILY,
        )
        return network.eval().requires_grad_(requires_grad=False)


def _densenet_names(tensors: Tensors) -> Names:
    """Return the names in the one list of `DenseNet`: normalization, convolution, blocks.

    A transition precedes each block but the first.
    """
    period = count_blocks(tensors, r"block(\d)\.layer\.(\d+)\.")[0] + 1

    def position(match: re.Match[str]) -> str:
        return f"layers.{2 + (int(match[1]) - 1) * period + int(match[2])}.{match[3]}"

    def transition(match: re.Match[str]) -> str:
        return f"layers.{1 + int(match[1]) * period}.{match[2]}."

    return (
        (r"^block(\d)\.layer\.(\d+)\.(.+)", position),
        (r"^trans(\d)\.(bn|conv)1\.", transition),
        (r"^conv1\.", "layers.1."),
        (r"\.bn(\d?)\.", r".norm\1."),
        (r"^bn1\.", "norm."),
        (r"^fc\.", "head."),
    )


def _named(stages: str, first: int, ends: str, *others: tuple[str, str]) -> Callable[..., Names]:
    """Return the names of a residual network.

    `stages` matches the beginning of a block's name, with the number of its stage as a group, and
    `ends` has the names of the stem, of the last norm and of the head.
    """
    stem, norm, head = ends.split()

    def stage(match: re.Match[str]) -> str:
        return f"stages.{int(match[1]) - first}."

    return lambda _: (
        (rf"^{stages}\.", stage),
        *others,
        (rf"^{stem}\.", "stem."),
        (rf"^{norm}\.", "norm."),
        (rf"^{head}\.", "head."),
    )


_NORMS = (r"\.bn(\d)\.", r".norm\1.")
_ONE_LAYER_SHORTCUT = (r"\.shortcut\.0\.", ".shortcut.")
_FROM_ZERO = ((r"\.batchnorm_0\.", ".norm1."), (r"\.batchnorm_1\.", ".norm2."))

FAMILIES: Mapping[str, Family] = {
    "wide-resnet": Family(
        build=PreAct(
            stem="conv1.weight",
            head="fc.weight",
            blocks=r"block(\d)\.layer\.(\d+)\.",
            widths="block{}.layer.0.conv1.weight",
            first=1,
            style=PreActStyle(),
        ),
        names=_named(
            r"block(\d)\.layer", 1, "conv1 bn1 fc", _NORMS, (r"\.convShortcut\.", ".shortcut.")
        ),
    ),
    "preact-resnet": Family(
        build=preact_resnet,
        names=_named(r"layer(\d)", 1, "conv1 bn linear", _NORMS, _ONE_LAYER_SHORTCUT),
    ),
    "dm-wide-resnet": Family(
        build=PreAct(
            stem="init_conv.weight",
            head="logits.weight",
            blocks=r"layer\.(\d)\.block\.(\d+)\.",
            widths="layer.{}.block.0.conv_0.weight",
            first=0,
            style=PreActStyle(same=True),
            activation="silu",
            mean=CIFAR10_MEAN,
            std=CIFAR10_STD,
        ),
        names=_named(
            r"layer\.(\d)\.block",
            0,
            "init_conv batchnorm logits",
            *_FROM_ZERO,
            (r"\.conv_0\.", ".conv1."),
            (r"\.conv_1\.", ".conv2."),
        ),
    ),
    "dm-preact-resnet": Family(
        build=PreAct(
            stem="conv_2d.weight",
            head="logits.weight",
            blocks=r"layer_(\d)\.(\d+)\.",
            widths="layer_{}.0.conv_2d_1.weight",
            first=0,
            style=PreActStyle(same=True, shortcut=3, activated_shortcut=False),
            activation="silu",
            mean=CIFAR10_MEAN,
            std=CIFAR10_STD,
        ),
        names=_named(
            r"layer_(\d)",
            0,
            "conv_2d batchnorm logits",
            *_FROM_ZERO,
            (r"\.conv_2d_(\d)\.", r".conv\1."),
        ),
    ),
    "resnet18": Family(
        build=resnet18,
        names=_named(
            r"layer(\d)",
            1,
            "conv1 bn1 linear",
            _NORMS,
        ),
    ),
    "cresnet": Family(
        build=cresnet,
        names=_named(r"layer(\d)", 1, "conv1 bn1 linear2", ("^linear1", "hidden")),
    ),
    "densenet": Family(build=densenet, names=_densenet_names),
}
