"""Operators that arrange the same numbers anew, and those that make the shapes for it."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from oodguard.training.onnx_torch.node import Node, unsupported


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
    node: Node, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    """Lengthen axes at both ends, by a value or by what is there; less than nothing shortens."""
    mode = node.attribute("mode", "constant")
    chosen = range(x.dim()) if axes is None else [axis % x.dim() for axis in axes.tolist()]
    sides = dict(zip(chosen, pads.reshape(2, -1).t().tolist(), strict=True))
    if mode == "constant":
        from_last = [side for axis in reversed(range(x.dim())) for side in sides.get(axis, (0, 0))]
        return functional.pad(x, from_last, value=0.0 if value is None else value.item())
    for axis, (begin, end) in sides.items():
        if begin or end:
            places = torch.arange(-begin, x.shape[axis] + end, device=x.device)
            x = x.index_select(axis, _inside(places, x.shape[axis], mode))
    return x


def _inside(places: Tensor, size: int, mode: str) -> Tensor:
    """Say where what is put at places beyond the ends comes from."""
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    if mode != "reflect":
        raise unsupported(f"Pad with mode {mode!r}")
    period = max(2 * (size - 1), 1)
    return torch.minimum(places % period, period - places % period)


def constant_of_shape(node: Node, sizes: Tensor) -> Tensor:
    """Return one value everywhere, float zero unless told."""
    value: Tensor = node.attribute("value", torch.zeros(1))
    return value.reshape(()).expand(sizes.tolist())
