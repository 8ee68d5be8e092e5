"""Operators that arrange the same numbers anew, and those that make the shapes for it."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.onnx_torch.node import Node


def shape(node: Node, x: Tensor) -> Tensor:
    """Return the lengths of the axes, or of a run of them."""
    return torch.tensor(x.shape[node.attribute("start", 0) : node.attribute("end", None)])


def reshape(node: Node, x: Tensor, sizes: Tensor) -> Tensor:
    """Reshape; a size of 0 keeps the axis as it came, one of -1 is worked out."""
    wanted = sizes.tolist()
    if not node.attribute("allowzero", 0):
        wanted = [x.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    return x.reshape(wanted)


def flatten(node: Node, x: Tensor) -> Tensor:
    """Make two axes of those before `axis` and of those from it on."""
    axis = node.attribute("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def transpose(node: Node, x: Tensor) -> Tensor:
    """Order the axes anew; unless told how, backwards."""
    return x.permute(node.attribute("perm", list(range(x.dim()))[::-1]))


def squeeze(_: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Drop axes of length 1: these, or all."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist()))


def unsqueeze(_: Node, x: Tensor, axes: Tensor) -> Tensor:
    """Put axes of length 1 at these places of the result."""
    dims = x.dim() + axes.numel()
    for axis in sorted(axis % dims for axis in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def expand(_: Node, x: Tensor, sizes: Tensor) -> Tensor:
    """Repeat along axes of length 1; a size of 1 keeps the axis as it came."""
    return x.expand(torch.broadcast_shapes(x.shape, sizes.tolist()))


def tile(_: Node, x: Tensor, times: Tensor) -> Tensor:
    """Repeat the whole along each axis."""
    return x.repeat(times.tolist())


def concat(node: Node, *inputs: Tensor) -> Tensor:
    """Join along an axis."""
    return torch.cat(inputs, dim=node.attributes["axis"])


def split(node: Node, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    """Cut along an axis: into these sizes, or one part an output, the last one the smallest."""
    axis = node.attribute("axis", 0)
    each = -(-x.shape[axis] // len(node.outputs))
    parts: tuple[Tensor, ...] = x.split(each if sizes is None else sizes.tolist(), dim=axis)
    return parts


def pad(
    node: Node,
    x: Tensor,
    pads: Tensor,
    value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:
    """Lengthen axes at both ends, by a value or by what is there."""
    mode = node.attribute("mode", "constant")
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    amounts = pads.tolist()
    half = len(amounts) // 2
    chosen = range(half) if axes is None else [axis % x.dim() for axis in axes.tolist()]
    begin, end = (
        dict(zip(chosen, amounts[:half], strict=True)),
        dict(zip(chosen, amounts[half:], strict=True)),
    )
    # torch counts the axes from the last one; it reflects no others than those that are padded.
    first = min((axis for axis in chosen if begin[axis] or end[axis]), default=None)
    if first is None:
        return x
    ordered = [
        side.get(axis, 0) for axis in range(x.dim() - 1, first - 1, -1) for side in (begin, end)
    ]
    if mode == "constant":
        return functional.pad(x, ordered, value=0.0 if value is None else value.item())
    return functional.pad(x, ordered, mode=modes[mode])


def constant_of_shape(node: Node, sizes: Tensor) -> Tensor:
    """Return one value everywhere, float zero unless told."""
    value: Tensor = node.attribute("value", torch.zeros(1))
    return value.reshape(()).expand(sizes.tolist())
