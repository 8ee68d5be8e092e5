"""Element-wise operators and reductions."""

from collections.abc import Callable

import torch
from torch import Tensor

from oodguard.training.onnx_torch.node import Node, Operator, dtype_of

Reduction = Callable[[Tensor, tuple[int, ...], bool], Tensor]
"""`(x, axes, keep)` to x reduced over the axes; with `keep` they remain, of length 1."""


def reduced(reduction: Reduction) -> Operator:
    """Return the operator of a reduction; its axes are an input, or below opset 18 an attribute."""

    def operator(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = node.attribute("axes", []) if axes is None else axes.tolist()
        if not chosen and node.attribute("noop_with_empty_axes", 0):
            return x
        every = tuple(range(x.dim()))
        return reduction(x, tuple(chosen) or every, bool(node.attribute("keepdims", 1)))

    return operator


def arg(function: Callable[..., Tensor]) -> Operator:
    """Return the operator of `torch.argmax` or `torch.argmin`."""

    def operator(node: Node, x: Tensor) -> Tensor:
        node.require("select_last_index", 0)
        keep = bool(node.attribute("keepdims", 1))
        return function(x, dim=node.attribute("axis", 0), keepdim=keep)

    return operator


def top_k(node: Node, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Return the k largest or smallest values along an axis, and their indices."""
    values, indices = torch.topk(
        x,
        int(k),
        dim=node.attribute("axis", -1),
        largest=bool(node.attribute("largest", 1)),
        sorted=bool(node.attribute("sorted", 1)),
    )
    return values, indices


def plain(function: Callable[..., Tensor]) -> Operator:
    """Return the operator of a torch function; it has no attributes."""
    return lambda _, *inputs: function(*inputs)


def folded(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    """Return the operator of any number of inputs from a function of two."""

    def operator(_: Node, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = function(first, other)
        return first

    return operator


def div(_: Node, x: Tensor, y: Tensor) -> Tensor:
    """Divide; integers, such as shapes, are rounded towards zero."""
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def mod(node: Node, x: Tensor, y: Tensor) -> Tensor:
    """Return the remainder, with the sign of the divisor, or with `fmod` of the dividend."""
    return torch.fmod(x, y) if node.attribute("fmod", 0) else torch.remainder(x, y)


def cast(node: Node, x: Tensor) -> Tensor:
    """Change the type, but keep the fractions of pixels that are float in place of uint8."""
    dtype = dtype_of(node.attributes["to"])
    # Rounding would remove the gradient; whole numbers do not change.
    return x if dtype is torch.uint8 and x.is_floating_point() else x.to(dtype)


def clip(_: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Clamp to a range; either end may be open."""
    if low is None and high is None:
        return x
    return torch.clamp(x, *(None if end is None else end.item() for end in (low, high)))


def hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    """Return alpha x + beta, clamped to [0, 1]."""
    return torch.clamp(node.attribute("alpha", 0.2) * x + node.attribute("beta", 0.5), 0, 1)
