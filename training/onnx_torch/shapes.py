"""Operators that index, reshape, join and pad tensors."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from oodguard.training.onnx_torch.node import Node, unsupported


def gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Index one axis; the result has the shape of the indices in its place."""
    axis = node.attribute("axis", 0) % x.dim()
    positive = torch.where(indices < 0, indices + x.shape[axis], indices)
    selected = x.index_select(axis, positive.reshape(-1))
    return selected.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def gather_nd(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Index the first q axes by each row of the indices `(..., q)`."""
    node.require("batch_dims", 0)
    return x[indices.unbind(-1)]


def gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Return one value per index, along one axis."""
    axis = node.attribute("axis", 0)
    return x.gather(axis, torch.where(indices < 0, indices + x.shape[axis], indices))


def slice_(
    _: Node,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    """Slice axes; a negative step reverses."""
    chosen = list(range(starts.numel())) if axes is None else axes.tolist()
    strides = [1] * len(chosen) if steps is None else steps.tolist()
    for axis, start, end, step in zip(chosen, starts.tolist(), ends.tolist(), strides, strict=True):
        x = _slice_axis(x, axis % x.dim(), range(x.shape[axis])[start:end:step])
    return x


def _slice_axis(x: Tensor, axis: int, indices: range) -> Tensor:
    before = (slice(None),) * axis
    if indices.step > 0:
        return x[(*before, slice(indices.start, indices.stop, indices.step))]
    # torch does not support negative steps.
    ascending = indices[::-1]
    return x[(*before, slice(ascending.start, ascending.stop, ascending.step))].flip(axis)


def shape(node: Node, x: Tensor) -> Tensor:
    """Return the shape, or a slice of it."""
    sides = x.shape[node.attribute("start", 0) : node.attribute("end", None)]
    return torch.tensor(sides, device=x.device)


def reshape(node: Node, x: Tensor, sizes: Tensor) -> Tensor:
    """Reshape; a size of 0 is that of the input, and -1 is inferred."""
    shape = sizes.tolist()
    if not node.attribute("allowzero", 0):
        shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return x.reshape(shape)


def flatten(node: Node, x: Tensor) -> Tensor:
    """Reshape to two axes: those before `axis`, and the others."""
    axis = node.attribute("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def squeeze(_: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Remove the given axes of length 1, or all."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist()))


def unsqueeze(_: Node, x: Tensor, axes: Tensor) -> Tensor:
    """Insert axes of length 1 at the given positions of the result."""
    dims = x.dim() + axes.numel()
    for axis in sorted(axis % dims for axis in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def split(node: Node, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    """Split along an axis: into the given sizes, or equally, the last part being the smallest."""
    axis = node.attribute("axis", 0)
    each = -(-x.shape[axis] // len(node.outputs))
    parts: tuple[Tensor, ...] = x.split(each if sizes is None else sizes.tolist(), dim=axis)
    return parts


def pad(
    node: Node, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    """Pad axes at both ends with a value or with values of the tensor; negative pads crop."""
    mode = node.attribute("mode", "constant")
    chosen = range(x.dim()) if axes is None else [axis % x.dim() for axis in axes.tolist()]
    sides = dict(zip(chosen, pads.reshape(2, -1).t().tolist(), strict=True))
    if mode == "constant":
        from_last = [side for axis in reversed(range(x.dim())) for side in sides.get(axis, (0, 0))]
        return functional.pad(x, from_last, value=0.0 if value is None else value.item())
    for axis, (begin, end) in sides.items():
        if begin or end:
            indices = torch.arange(-begin, x.shape[axis] + end, device=x.device)
            x = x.index_select(axis, _inside(indices, x.shape[axis], mode))
    return x


def _inside(indices: Tensor, size: int, mode: str) -> Tensor:
    """Map indices beyond the ends to those whose values they are padded with."""
    if mode == "edge":
        return indices.clamp(0, size - 1)
    if mode == "wrap":
        return indices % size
    if mode != "reflect":
        raise unsupported(f"Pad with mode {mode!r}")
    period = max(2 * (size - 1), 1)
    return torch.minimum(indices % period, period - indices % period)


def constant_of_shape(node: Node, sizes: Tensor) -> Tensor:
    """Return a tensor filled with one value; the default is float 0."""
    value: Tensor = node.attribute("value", torch.zeros(1))
    return value.reshape(()).expand(sizes.tolist())
