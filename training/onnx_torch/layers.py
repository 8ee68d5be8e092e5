"""Layers: convolution, pooling, matrix products and normalization."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from oodguard.training.onnx_torch.node import Node, unsupported

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Kernel size, strides and dilations of a window; `pads` are top, left, bottom and right."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: tuple[int, int, int, int]

    @property
    def even(self) -> bool:
        """Whether the padding of each axis is the same on both sides."""
        return self.pads[:2] == self.pads[2:]

    def padded(self, x: Tensor, value: float = 0.0) -> Tensor:
        """Return images padded with a value."""
        top, left, bottom, right = self.pads
        return functional.pad(x, (left, right, top, bottom), value=value)


def conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with `weight` `(C', C / group, h, w)`."""
    window = _window(node, x, kernel=weight.shape[2:])
    padding = window.pads[:2] if window.even else (0, 0)
    return functional.conv2d(
        x if window.even else window.padded(x),
        weight,
        bias,
        stride=window.strides,
        padding=padding,
        dilation=window.dilations,
        groups=node.attribute("group", 1),
    )


def max_pool(node: Node, x: Tensor) -> Tensor:
    """Return the maximum of each window."""
    window = _window(node, x, kernel=node.attributes["kernel_shape"])
    inside = _torch_pads(window)
    return functional.max_pool2d(
        x if inside else window.padded(x, -torch.inf),
        window.kernel,
        window.strides,
        padding=window.pads[:2] if inside else 0,
        dilation=window.dilations,
        ceil_mode=bool(node.attribute("ceil_mode", 0)),
    )


def average_pool(node: Node, x: Tensor) -> Tensor:
    """Return the mean of each window; with `count_include_pad` the padding counts."""
    window = _window(node, x, kernel=node.attributes["kernel_shape"])
    if window.dilations != (1, 1):
        raise unsupported(f"AveragePool with dilations {list(window.dilations)}")
    with_padding = bool(node.attribute("count_include_pad", 0))
    up = bool(node.attribute("ceil_mode", 0))
    if _torch_pads(window):
        return functional.avg_pool2d(
            x, window.kernel, window.strides, window.pads[:2], up, with_padding
        )
    mean = functional.avg_pool2d(window.padded(x), window.kernel, window.strides, 0, up)
    if with_padding:
        return mean
    ones = window.padded(torch.ones_like(x[:1, :1]))
    return mean / functional.avg_pool2d(ones, window.kernel, window.strides, 0, up)


def _torch_pads(window: Window) -> bool:
    """Return whether torch's pooling supports the padding: symmetric, at most half a window."""
    halves = (window.kernel[0] // 2, window.kernel[1] // 2)
    return window.even and window.pads[0] <= halves[0] and window.pads[1] <= halves[1]


def _window(node: Node, x: Tensor, *, kernel: torch.Size | list[int]) -> Window:
    if x.dim() != 4:
        raise unsupported(f"{node.operator} of {x.dim()} dimensions")
    strides = node.attribute("strides", [1, 1])
    dilations = node.attribute("dilations", [1, 1])
    auto = node.attribute("auto_pad", "NOTSET")
    if auto in {"SAME_UPPER", "SAME_LOWER"}:
        sizes = zip(x.shape[2:], kernel, strides, dilations, strict=True)
        pairs = [_same(*each, more_at_end=auto == "SAME_UPPER") for each in sizes]
        pads = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
    else:
        pads = [0] * 4 if auto == "VALID" else node.attribute("pads", [0] * 4)
    return Window(
        kernel=(kernel[0], kernel[1]),
        strides=(strides[0], strides[1]),
        dilations=(dilations[0], dilations[1]),
        pads=(pads[0], pads[1], pads[2], pads[3]),
    )


def _same(size: int, kernel: int, stride: int, dilation: int, *, more_at_end: bool) -> Pair:
    """Return the padding with which ceil(size / stride) windows fit."""
    windows = -(-size // stride)
    total = max(0, (windows - 1) * stride + dilation * (kernel - 1) + 1 - size)
    less, more = total // 2, total - total // 2
    return (less, more) if more_at_end else (more, less)


def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """Return alpha A B + beta C, with A or B transposed by their attributes."""
    left = a.t() if node.attribute("transA", 0) else a
    right = b.t() if node.attribute("transB", 0) else b
    product: Tensor = node.attribute("alpha", 1.0) * (left @ right)
    return product if c is None else product + node.attribute("beta", 1.0) * c


def batch_normalization(  # noqa: PLR0913  (ONNX's inputs)
    node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    """Normalize each channel by its stored mean and variance."""
    node.require("training_mode", 0)
    return functional.batch_norm(
        x, mean, variance, scale, bias, training=False, eps=node.attribute("epsilon", 1e-5)
    )


def instance_normalization(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalize each channel of each image."""
    eps = node.attribute("epsilon", 1e-5)
    return functional.instance_norm(x, weight=scale, bias=bias, eps=eps)


def layer_normalization(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """Normalize over the axes from `axis` to the last."""
    shape = x.shape[node.attribute("axis", -1) :]
    return functional.layer_norm(
        x,
        shape,
        scale.expand(shape),
        None if bias is None else bias.expand(shape),
        node.attribute("epsilon", 1e-5),
    )


def lrn(node: Node, x: Tensor) -> Tensor:
    """Normalize each channel by its neighbours: local response normalization, as in AlexNet."""
    return functional.local_response_norm(
        x,
        node.attributes["size"],
        node.attribute("alpha", 1e-4),
        node.attribute("beta", 0.75),
        node.attribute("bias", 1.0),
    )
