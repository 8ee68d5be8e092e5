"""Small networks with the layers and the names of published ones, written from their layout.

They pad, shortcut and normalize in their own forward passes, which the translated networks of
`benchmarks.foreign` are compared with.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from tests.benchmarks.published_blocks import (
    Block,
    Layers,
    Named,
    conv,
    dm_preact_block,
    dm_wide_block,
    plain_block,
    pre_act_block,
    wrapped,
)

CIFAR10 = torch.tensor([[0.4914, 0.4822, 0.4465], [0.2471, 0.2435, 0.2616]]).view(2, 3, 1, 1)
ALOE = torch.tensor([[125.3, 123.0, 113.9], [63.0, 62.1, 66.7]]).view(2, 3, 1, 1) / 255


def stages(
    block: Block, stem: int, widths: Sequence[int], *, blocks: int = 2, first: int = 1
) -> list[nn.Sequential]:
    found, channels = [], stem
    for number, width in enumerate(widths):
        row = []
        for index in range(blocks):
            row.append(block(channels, width, 1 if index else (2 if number else first)))
            channels = width
        found.append(nn.Sequential(*row))
    return found


def residual(  # noqa: PLR0913  (the names of a published network)
    ends: str,
    named_stages: Layers,
    *,
    stem: nn.Module,
    channels: int,
    norm_at: str | None,
    normalization: Tensor | None = None,
    activation: Callable[[Tensor], Tensor] = torch.relu,
) -> nn.Module:
    """A network of a stem, stages, a norm after the stem or at the end, and a linear head."""
    first, norm, head = ends.split()

    def forward(layers: Layers, x: Tensor) -> Tensor:
        if normalization is not None:
            x = (x - normalization[0]) / normalization[1]
        x = layers[first](x)
        x = activation(layers[norm](x)) if norm_at == "stem" else x
        for name in named_stages:
            x = layers[name](x)
        x = activation(layers[norm](x)) if norm_at == "end" else x
        logits: Tensor = layers[head](x.mean((2, 3)))
        return logits

    norms = {norm: nn.BatchNorm2d(8 if norm_at == "stem" else channels)} if norm_at else {}
    return Named(forward, {first: stem, **named_stages, **norms, head: nn.Linear(channels, 10)})


def numbered(name: str, found: Sequence[nn.Module], *, first: int = 1) -> dict[str, nn.Module]:
    return {name.format(number): each for number, each in enumerate(found, start=first)}


WIDTHS = (8, 16, 24, 32)


def wide_resnet() -> nn.Module:
    block = pre_act_block("convShortcut", activated=True, only_for_channels=True)
    found = [wrapped("layer", each) for each in stages(block, 8, (16, 24, 32), blocks=1)]
    network = residual(
        "conv1 bn1 fc",
        numbered("block{}", found),
        stem=conv(3, 8, 3, 1, 1),
        channels=32,
        norm_at="end",
    )
    network.add_module("sub_block1", nn.Sequential(nn.Conv2d(3, 3, 1)))  # TRADES does not run it
    return network


def preact_resnet(*, normed: bool) -> nn.Module:
    block = pre_act_block("shortcut", activated=normed, only_for_channels=False)
    return residual(
        "conv1 bn linear",
        numbered("layer{}", stages(block, 8, WIDTHS)),
        stem=conv(3, 8, 3, 1, 1),
        channels=32,
        norm_at="end" if normed else None,
    )


def dm_wide_resnet() -> nn.Module:
    found = [wrapped("block", each) for each in stages(dm_wide_block, 8, (8, 16, 32))]
    network = residual(
        "init_conv batchnorm logits",
        {"layer": nn.Sequential(*found)},
        stem=conv(3, 8, 3, 1, 1),
        channels=32,
        norm_at="end",
        normalization=CIFAR10 + 0.01,
        activation=nn.functional.silu,
    )
    network.register_buffer("mean", CIFAR10[0] + 0.01)  # the file's, not the usual one
    network.register_buffer("std", CIFAR10[1] + 0.01)
    return network


def dm_preact_resnet() -> nn.Module:
    return residual(
        "conv_2d batchnorm logits",
        numbered("layer_{}", stages(dm_preact_block, 8, WIDTHS), first=0),
        stem=conv(3, 8, 3, 1, 1),
        channels=32,
        norm_at="end",
        normalization=CIFAR10,
        activation=nn.functional.silu,
    )


def resnet18() -> nn.Module:
    return residual(
        "conv1 bn1 linear",
        numbered("layer{}", stages(plain_block(norm=True), 8, WIDTHS)),
        stem=conv(3, 8, 3, 1, 1),
        channels=32,
        norm_at="stem",
    )


def cresnet() -> nn.Module:
    def forward(layers: Layers, x: Tensor) -> Tensor:
        x = layers["conv1"]((x - CIFAR10[0]) / CIFAR10[1]).relu()
        x = layers["layer2"](layers["layer1"](x))
        logits: Tensor = layers["linear2"](layers["linear1"](x.flatten(1)).relu())
        return logits

    found = stages(plain_block(norm=False), 4, (8, 8), first=2)
    ends = {"linear1": nn.Linear(8 * 16, 100), "linear2": nn.Linear(100, 10)}
    stem: dict[str, nn.Module] = {"conv1": nn.Conv2d(3, 4, 3, 2, 1)}
    return Named(forward, stem | numbered("layer{}", found) | ends)


def dense_layer(inputs: int, growth: int) -> nn.Module:
    def forward(layers: Layers, x: Tensor) -> Tensor:
        y = layers["conv1"](layers["bn1"](x).relu())
        return torch.cat([x, layers["conv2"](layers["bn2"](y).relu())], 1)

    layers: dict[str, nn.Module] = {
        "bn1": nn.BatchNorm2d(inputs),
        "conv1": conv(inputs, 4 * growth, 1),
        "bn2": nn.BatchNorm2d(4 * growth),
        "conv2": conv(4 * growth, growth, 3, 1, 1),
    }
    return Named(forward, layers)


def transition(channels: int) -> nn.Module:
    return Named(
        lambda layers, x: nn.functional.avg_pool2d(layers["conv1"](layers["bn1"](x).relu()), 2),
        {"bn1": nn.BatchNorm2d(channels), "conv1": conv(channels, channels // 2, 1)},
    )


def densenet() -> nn.Module:
    growth, channels = 4, 8
    found: dict[str, nn.Module] = {}
    for number in (1, 2, 3):
        layers = [dense_layer(channels + growth * index, growth) for index in range(2)]
        found[f"block{number}"] = wrapped("layer", nn.Sequential(*layers))
        channels += 2 * growth
        if number < 3:
            found[f"trans{number}"] = transition(channels)
            channels //= 2
    return residual(
        "conv1 bn1 fc",
        found,
        stem=conv(3, 8, 3, 1, 1),
        channels=channels,
        norm_at="end",
        normalization=ALOE,
    )


class Discriminator(nn.Module):
    """ATD's discriminator of features `(n, D)`, with its sigmoid."""

    def __init__(self, features: int) -> None:
        super().__init__()
        widths = (features, 512, 256, 128, 64)
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            norm = [nn.BatchNorm2d(outputs)] if number else []
            layers += [conv(inputs, outputs, 1), *norm, nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, conv(64, 1, 1), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.main(features[:, :, None, None])
        return found.flatten()


NETWORKS: Sequence[tuple[str, Callable[[], nn.Module]]] = (
    ("wide-resnet", wide_resnet),
    ("preact-resnet", lambda: preact_resnet(normed=True)),
    ("preact-resnet", lambda: preact_resnet(normed=False)),
    ("dm-wide-resnet", dm_wide_resnet),
    ("dm-preact-resnet", dm_preact_resnet),
    ("resnet18", resnet18),
    ("cresnet", cresnet),
    ("densenet", densenet),
)
"""The family of each network."""
