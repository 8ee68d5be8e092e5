"""Operators that take some of the numbers: by place, by run, by condition."""

import torch
from torch import Tensor

from training.onnx_torch.node import Node


def gather(node: Node, x: Tensor, places: Tensor) -> Tensor:
    """Take these places of one axis, in the shape that they come in."""
    axis = node.attribute("axis", 0) % x.dim()
    wanted = torch.where(places < 0, places + x.shape[axis], places)
    taken = x.index_select(axis, wanted.reshape(-1))
    return taken.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])


def gather_nd(node: Node, x: Tensor, places: Tensor) -> Tensor:
    """Take what each row `(..., q)` of places points at: q axes at once."""
    node.expect("batch_dims", 0)
    return x[places.unbind(-1)]


def gather_elements(node: Node, x: Tensor, places: Tensor) -> Tensor:
    """Take one number for each place, along one axis."""
    axis = node.attribute("axis", 0)
    return x.gather(axis, torch.where(places < 0, places + x.shape[axis], places))


def slice_(
    _: Node,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    """Take a run of each axis; a negative step goes backwards."""
    chosen = list(range(starts.numel())) if axes is None else axes.tolist()
    strides = [1] * len(chosen) if steps is None else steps.tolist()
    for axis, start, end, step in zip(chosen, starts.tolist(), ends.tolist(), strides, strict=True):
        x = _run(x, axis % x.dim(), range(x.shape[axis])[start:end:step])
    return x


def _run(x: Tensor, axis: int, places: range) -> Tensor:
    before = (slice(None),) * axis
    if places.step > 0:
        return x[(*before, slice(places.start, places.stop, places.step))]
    # torch has no negative step.
    upwards = places[::-1]
    return x[(*before, slice(upwards.start, upwards.stop, upwards.step))].flip(axis)
