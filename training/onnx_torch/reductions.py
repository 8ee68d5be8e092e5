"""Operators that make one number of many along some axes."""

from collections.abc import Callable

import torch
from torch import Tensor

from training.onnx_torch.node import Node, Operator

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
