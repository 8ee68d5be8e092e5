"""QuantizeLinear and DequantizeLinear with a straight-through gradient."""

import torch
from torch import Tensor
from torch.nn import functional

from oodguard.training.onnx_torch.node import Node, dtype_of


def quantize_linear(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Return saturate(round(x / scale) + zero) as float32, so that gradients pass.

    The gradient of rounding is 1, and outside of the range of the integers it is 0 (the
    straight-through estimator of Bengio et al., arXiv:1308.3432). An attack through it sees the
    values of the INT8 graph and the gradients of its float twin.
    """
    node.require("block_size", 0)
    kind = node.attribute("output_dtype", 0)
    default = dtype_of(kind) if kind else torch.uint8
    limits = torch.iinfo(default if zero is None else zero.dtype)
    levels = x / along(node, scale, x)
    # Rounded before the zero point is added, which decides where a value is between two levels.
    if zero is None or zero.numel() == 1:
        # As below, in fewer passes over the values: the limits are integers, so that the order of
        # limiting and rounding does not matter, and hardtanh has a faster gradient than clamp.
        offset = 0 if zero is None else int(zero)
        inside = functional.hardtanh(levels, limits.min - offset, limits.max - offset)
        return round_(inside) + offset if offset else round_(inside)
    shifted = round_(levels) + along(node, zero, x).float()
    return torch.clamp(shifted, limits.min, limits.max)


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        context.mark_dirty(x)
        return x.round_()

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return gradient


def round_(x: Tensor) -> Tensor:
    """Round in place to the nearest integer, with the gradient 1."""
    rounded: Tensor = _Round.apply(x)  # type: ignore[no-untyped-call]
    return rounded


def dequantize_linear(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Return (x - zero) scale."""
    node.require("block_size", 0)
    levels = x.float()
    if zero is not None and zero.any():
        levels = levels - along(node, zero, x).float()
    return levels * along(node, scale, x)


def along(node: Node, values: Tensor, x: Tensor) -> Tensor:
    """Reshape one value, or one per index of the node's axis, so that it broadcasts over x."""
    if values.numel() == 1:
        return values.reshape(())
    sizes = [1] * x.dim()
    sizes[node.attribute("axis", 1)] = -1
    return values.reshape(sizes)
