"""The input of a wrapped classifier: layout, size, and preprocessing as numbers and as a graph."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.classifier import Shape

Layout = Literal["nchw", "nhwc"]
Triple = tuple[float, float, float]
IMAGES = "images"
PIXELS = "pixels"

OPSET = 13
"""Opset of the preprocessing graph; none of its operators has changed since."""

CHANNEL_AXIS = {"nchw": 1, "nhwc": 3}
SIZE_AXES = {"nchw": (2, 3), "nhwc": (1, 2)}

MAX_SIDE = 4096
"""The largest height or width that a bundle allows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelTransform:
    """Preprocessing of a classifier: (uint8 RGB / scale - mean) / std, per channel.

    Raises:
        ClassifierError: A scale or std is not above 0, or the classifier takes uint8 and the
            transform is not the identity.
    """

    layout: Layout
    height: int
    width: int
    scale: float = 255.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    as_uint8: bool = False

    def __post_init__(self) -> None:
        if not (self.scale > 0 and min(self.std) > 0):
            raise ClassifierError(
                f"--scale is {self.scale:g} and --std is {self.std}, expected numbers above 0"
            )
        if self.as_uint8 and (self.scale != 1 or self._normalises):
            raise ClassifierError(
                "the classifier takes uint8 and scales the pixels itself, expected --scale 1"
                " without --mean and --std"
            )

    @property
    def _normalises(self) -> bool:
        return self.mean != (0.0, 0.0, 0.0) or self.std != (1.0, 1.0, 1.0)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | NDArray[np.uint8]:
        """Transform images `(n, H, W, 3)` to the classifier's input."""
        ordered = images.transpose(0, 3, 1, 2) if self.layout == "nchw" else images
        if self.as_uint8:
            return np.ascontiguousarray(ordered)
        mean, std = (self._per_channel(values) for values in (self.mean, self.std))
        return (ordered.astype(np.float32) / np.float32(self.scale) - mean) / std

    def graph(self) -> onnx.ModelProto:
        """Return the same transform as a graph from `images`, uint8 `(n, H, W, 3)`, to `pixels`."""
        kind = TensorProto.UINT8 if self.as_uint8 else TensorProto.FLOAT
        order = [0, 3, 1, 2] if self.layout == "nchw" else [0, 1, 2, 3]
        nodes = [
            helper.make_node("Transpose", [IMAGES], ["ordered"], perm=order),
            helper.make_node("Cast", ["ordered"], ["cast"], to=kind),
        ]
        constants: dict[str, NDArray[np.float32]] = {}
        if not self.as_uint8:
            constants = {
                "scale": np.asarray(self.scale, np.float32),
                "mean": self._per_channel(self.mean),
                "std": self._per_channel(self.std),
            }
        for name in constants:
            operator = "Sub" if name == "mean" else "Div"
            nodes.append(helper.make_node(operator, [nodes[-1].output[0], name], [f"after_{name}"]))
        nodes[-1].output[0] = PIXELS
        shape: list[int | str | None] = ["n", self.height, self.width, 3]
        graph = helper.make_graph(
            nodes,
            "pixels",
            [helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, shape)],
            [helper.make_tensor_value_info(PIXELS, kind, [shape[axis] for axis in order])],
            [numpy_helper.from_array(each, name) for name, each in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])

    def __str__(self) -> str:
        """Describe the transform in one line, for a model card."""
        rule = "uint8, unchanged" if self.as_uint8 else f"(pixels / {self.scale:g} - mean) / std"
        numbers = "" if not self._normalises else f", mean {self.mean}, std {self.std}"
        return f"{self.layout}, {self.height}x{self.width}, {rule}{numbers}"

    def _per_channel(self, values: Triple) -> NDArray[np.float32]:
        shape = (3, 1, 1) if self.layout == "nchw" else (3,)
        return np.asarray(values, np.float32).reshape(shape)


def infer_layout(shape: Shape, layout: Layout | None) -> Layout:
    """Return the layout of an input of this shape; `layout` overrides an ambiguous shape.

    Raises:
        ClassifierError: The shape is not that of RGB images, or the layout is ambiguous.
    """
    if len(shape) != 4:
        raise ClassifierError(f"the input has shape {_describe(shape)}, expected four dimensions")
    possible: list[Layout] = [
        each for each in ("nchw", "nhwc") if shape[CHANNEL_AXIS[each]] in {3, None}
    ]
    certain: list[Layout] = [each for each in possible if shape[CHANNEL_AXIS[each]] == 3]
    if layout is not None:
        if layout not in possible:
            raise ClassifierError(
                f"--layout is {layout}, but an input of shape {_describe(shape)} does not have"
                " three channels there"
            )
        return layout
    if not possible:
        raise ClassifierError(f"the input has shape {_describe(shape)}, expected three channels")
    if len(certain) != 1:
        raise ClassifierError(
            f"the input of shape {_describe(shape)} may be nchw or nhwc. Choose one with --layout."
        )
    return certain[0]


def infer_size(
    shape: Shape, layout: Layout, *, height: int | None, width: int | None
) -> tuple[int, int]:
    """Return height and width of the input in pixels; the arguments set dynamic dimensions.

    Raises:
        ClassifierError: A dimension is dynamic and not given, or fixed to another value.
    """
    sizes = []
    for option, axis, given in zip(
        ("--height", "--width"), SIZE_AXES[layout], (height, width), strict=True
    ):
        fixed = shape[axis]
        if None not in {fixed, given} and fixed != given:
            raise ClassifierError(f"{option} is {given}, expected {fixed}, the input's own")
        side = fixed if fixed is not None else given
        if side is None:
            raise ClassifierError(
                f"the input of shape {_describe(shape)} accepts any size. Choose one with {option}."
            )
        if not 1 <= side <= MAX_SIDE:
            raise ClassifierError(f"the input has a side of {side}, expected 1 to {MAX_SIDE}")
        sizes.append(side)
    return sizes[0], sizes[1]


def _describe(shape: Shape) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
