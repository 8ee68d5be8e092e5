"""Operators that treat every number alone."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from oodguard.training.onnx_torch.node import Node, Operator, dtype_of

Reduction = Callable[[Tensor, tuple[int, ...], bool], Tensor]
"""`(x, axes, keep)` to x without these axes, or with them at length 1."""


def reduced(reduction: Reduction) -> Operator:
    """Return the operator of a reduction; its axes are an input, before opset 18 an attribute."""

    def operator(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = node.attribute("axes", []) if axes is None else axes.tolist()
        if not chosen and node.attribute("noop_with_empty_axes", 0):
            return x
        every = tuple(range(x.dim()))
        return reduction(x, tuple(chosen) or every, bool(node.attribute("keepdims", 1)))

    return operator


def l1(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Sum of magnitudes."""
    return x.abs().sum(axes, keep)


def l2(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Euclidean length; its gradient at zero is zero."""
    length: Tensor = torch.linalg.vector_norm(x, dim=axes, keepdim=keep)
    return length


def sum_square(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Sum of squares."""
    return x.square().sum(axes, keep)


def log_sum(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Logarithm of the sum."""
    return x.sum(axes, keep).log()


def arg(function: Callable[..., Tensor]) -> Operator:
    """Return ArgMax or ArgMin of `torch.argmax` or `torch.argmin`."""

    def operator(node: Node, x: Tensor) -> Tensor:
        node.expect("select_last_index", 0)
        keep = bool(node.attribute("keepdims", 1))
        return function(x, dim=node.attribute("axis", 0), keepdim=keep)

    return operator


def top_k(node: Node, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Take the k largest, or smallest, along an axis: values and places."""
    values, places = torch.topk(
        x,
        int(k),
        dim=node.attribute("axis", -1),
        largest=bool(node.attribute("largest", 1)),
        sorted=bool(node.attribute("sorted", 1)),
    )
    return values, places


def plain(function: Callable[..., Tensor]) -> Operator:
    """Return an operator that is a torch function of its inputs and has no attributes."""
    return lambda _, *inputs: function(*inputs)


def folded(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    """Return an operator of any number of inputs from a function of two."""

    def operator(_: Node, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = function(first, other)
        return first

    return operator


def identity(_: Node, x: Tensor, *__: Tensor) -> Tensor:
    """Hand on; a Dropout does no more outside of training."""
    return x


def div(_: Node, x: Tensor, y: Tensor) -> Tensor:
    """Divide; whole numbers, as shapes are, towards zero."""
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def power(_: Node, x: Tensor, y: Tensor) -> Tensor:
    """Raise to a power, in the type of the base."""
    return torch.pow(x, y).to(x.dtype)


def mod(node: Node, x: Tensor, y: Tensor) -> Tensor:
    """Take the remainder, of the divisor's sign unless `fmod`."""
    return torch.fmod(x, y) if node.attribute("fmod", 0) else torch.remainder(x, y)


def cast(node: Node, x: Tensor) -> Tensor:
    """Change the type, but leave fractions to pixels that come as float in place of uint8."""
    dtype = dtype_of(node.attributes["to"])
    # Cutting them off would leave an attack without a gradient; of whole numbers nothing changes.
    return x if dtype is torch.uint8 and x.is_floating_point() else x.to(dtype)


def clip(_: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Bring into a range, of which either end may be open."""
    if low is None and high is None:
        return x
    return torch.clamp(x, *(None if end is None else end.item() for end in (low, high)))


def leaky_relu(node: Node, x: Tensor) -> Tensor:
    """Return x where above zero, alpha x elsewhere."""
    return functional.leaky_relu(x, node.attribute("alpha", 0.01))


def prelu(_: Node, x: Tensor, slope: Tensor) -> Tensor:
    """Return x where above zero, slope x elsewhere; the slope is broadcast."""
    return torch.where(x < 0, slope * x, x)


def elu(node: Node, x: Tensor) -> Tensor:
    """Return x where above zero, alpha (e^x - 1) elsewhere."""
    return functional.elu(x, node.attribute("alpha", 1.0))


def hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    """Return alpha x + beta, brought into [0, 1]."""
    return torch.clamp(node.attribute("alpha", 0.2) * x + node.attribute("beta", 0.5), 0, 1)


def gelu(node: Node, x: Tensor) -> Tensor:
    """Return x Phi(x), by the error function or as tanh approximates it."""
    return functional.gelu(x, approximate=node.attribute("approximate", "none"))
