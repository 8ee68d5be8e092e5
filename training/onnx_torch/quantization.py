"""QuantizeLinear and DequantizeLinear with a straight-through gradient."""

import torch
from torch import Tensor

from oodguard.training.onnx_torch.node import Node


def quantize_linear(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Return saturate(round(x / scale) + zero) as float32, so that gradients pass.

    The gradient of rounding is 1, and outside of the range of the integers it is 0 (the
    straight-through estimator of Bengio et al., arXiv:1308.3432). An attack through it sees the
    values of the INT8 graph and the gradients of its float twin.
    """
    node.require("block_size", 0)
    limits = torch.iinfo(torch.uint8 if zero is None else zero.dtype)
    levels = x / _along(node, scale, x)
    # Rounded before the zero point is added, which decides where a value is between two levels.
    levels = levels + (torch.round(levels) - levels).detach()
    if zero is not None:
        levels = levels + _along(node, zero, x).float()
    return torch.clamp(levels, limits.min, limits.max)


def dequantize_linear(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Return (x - zero) scale."""
    node.require("block_size", 0)
    offset = 0 if zero is None else _along(node, zero, x).float()
    return (x.float() - offset) * _along(node, scale, x)


def _along(node: Node, values: Tensor, x: Tensor) -> Tensor:
    """Reshape one value, or one per index of the node's axis, so that it broadcasts over x."""
    if values.numel() == 1:
        return values.reshape(())
    sizes = [1] * x.dim()
    sizes[node.attribute("axis", 1)] = -1
    return values.reshape(sizes)
