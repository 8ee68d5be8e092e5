"""Architectures of robustness papers that `models.networks` does not have.

Normalization is the first layer, as in all networks here, so that the attacked images are pixels in
[0, 1]. Names of layers are this project's; `families.py` translates those of the files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from oodguard.models.networks.classifier import Classifier


class Standardize(nn.Module):
    """(x - mean) / std by channel; both are constants and not weights."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to the inputs of the network."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return (images - mean) / std


@dataclass(frozen=True, kw_only=True, slots=True)
class PreActStyle:
    """The differences between published pre-activation networks.

    `same` pads a stride of 2 at the bottom and right only, as TensorFlow does. The shortcut is a
    convolution of size 1 or 3, of the activated input or of the input itself. Some networks have
    neither a norm nor an activation before the head.
    """

    activation: Callable[[Tensor], Tensor] = F.relu
    same: bool = False
    shortcut: Literal[1, 3] = 1
    activated_shortcut: bool = True
    last_norm: bool = True


class Block(nn.Module):
    """Two 3x3 convolutions, each after batch normalization, and a shortcut around both."""

    def __init__(self, inputs: int, outputs: int, stride: int, style: PreActStyle) -> None:
        super().__init__()
        self.style, self.stride = style, stride
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 0, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut: nn.Module | None = None
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Conv2d(inputs, outputs, style.shortcut, stride, 0, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, inputs, h, w)` to `(n, outputs, h / stride, w / stride)`."""
        active = self.style.activation(self.norm1(x))
        around = x
        if self.shortcut is not None:
            seen = active if self.style.activated_shortcut else x
            around = self.shortcut(seen if self.style.shortcut == 1 else self._padded(seen))
        y = self.conv1(self._padded(active))
        residual: Tensor = self.conv2(self.style.activation(self.norm2(y)))
        return around + residual

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1, 0, 1) if self.style.same and self.stride == 2 else (1, 1, 1, 1))


class PreActNetwork(Classifier):
    """A 3x3 stem, a stage of `blocks` for each of `widths`, the last norm, and a linear head."""

    def __init__(  # noqa: PLR0913  (by keyword)
        self,
        outputs: int,
        *,
        standardize: nn.Module,
        stem: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        style: PreActStyle,
    ) -> None:
        super().__init__()
        self.standardize = standardize
        self.stem = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
        self.style = style
        self.stages = nn.ModuleList()
        channels = stem
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            strides = [2 if stage and not block else 1 for block in range(count)]
            found = []
            for stride in strides:
                found.append(Block(channels, width, stride, style))
                channels = width
            self.stages.append(nn.Sequential(*found))
        self.norm = nn.BatchNorm2d(channels) if style.last_norm else None
        self.head = nn.Linear(channels, outputs)

    def features(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to penultimate features `(n, widths[-1])`."""
        values = self.stem(self.standardize(images))
        for stage in self.stages:
            values = stage(values)
        if self.norm is not None:
            values = self.style.activation(self.norm(values))
        return torch.mean(values, dim=(2, 3))


class PlainBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between, and one after the sum with the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, norm: bool) -> None:
        super().__init__()

        def maybe_norm() -> nn.Module:
            return nn.BatchNorm2d(outputs) if norm else nn.Identity()

        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not norm)
        self.norm1 = maybe_norm()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=not norm)
        self.norm2 = maybe_norm()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=not norm)
            self.shortcut = nn.Sequential(convolution, maybe_norm())

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, inputs, h, w)` to `(n, outputs, h / stride, w / stride)`."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class PostActNetwork(Classifier):
    """Residual stages of two blocks; `head` is linear, or two layers on all positions (`dense`)."""

    def __init__(  # noqa: PLR0913  (by keyword)
        self,
        outputs: int,
        *,
        standardize: nn.Module,
        stem: int,
        widths: Sequence[int],
        strides: Sequence[int],
        norm: bool,
        dense: int | None = None,
    ) -> None:
        super().__init__()
        self.standardize = standardize
        self.stem = nn.Conv2d(3, stem, 3, strides[0], 1, bias=not norm)
        self.norm: nn.Module = nn.BatchNorm2d(stem) if norm else nn.Identity()
        self.stages, channels = nn.ModuleList(), stem
        for width, stride in zip(widths, strides[1:], strict=True):
            first = PlainBlock(channels, width, stride, norm=norm)
            self.stages.append(nn.Sequential(first, PlainBlock(width, width, 1, norm=norm)))
            channels = width
        self.hidden = nn.Linear(dense, 100) if dense else None
        self.head = nn.Linear(100 if dense else channels, outputs)

    def features(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to penultimate features `(n, D)`."""
        values = F.relu(self.norm(self.stem(self.standardize(images))))
        for stage in self.stages:
            values = stage(values)
        if self.hidden is None:
            return torch.mean(values, dim=(2, 3))
        return F.relu(self.hidden(values.flatten(1)))


class DiscriminatorHead(nn.Module):
    """The logits of a classifier, and a reject output by a discriminator of its features.

    ATD (arXiv:2209.15246) scores an image by a discriminator D of the features, high for inliers.
    With the reject output logsumexp(z) - d, where d is the logit of D, the score `abstain` is -d:
    it has the ranking of D and does not saturate as its sigmoid does.
    """

    def __init__(self, classes: nn.Module, features: int) -> None:
        super().__init__()
        self.classes = classes
        layers: list[nn.Module] = [_pointwise(features, 512), nn.LeakyReLU(0.2)]
        for inputs, outputs in ((512, 256), (256, 128), (128, 64)):
            layers += [_pointwise(inputs, outputs), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, _pointwise(64, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(n, D)` to `(n, K + 1)`."""
        logits = self.classes(features)
        found = self.main(features[:, :, None, None]).flatten(1)
        return torch.cat([logits, logits.logsumexp(dim=1, keepdim=True) - found], dim=1)


def _pointwise(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1, bias=False)
