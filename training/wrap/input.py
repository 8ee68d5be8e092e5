"""The input of a wrapped classifier: preprocessing as numbers and as a graph."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from oodguard.models.errors import ClassifierError

Layout = Literal["nchw", "nhwc"]
ChannelOrder = Literal["rgb", "bgr"]
PixelType = Literal["float32", "float16", "float64", "uint8", "int32", "int64"]
Triple = tuple[float, float, float]

Shape = tuple[int | None, ...]
"""Dimensions of a tensor; None for a dynamic one."""

PIXEL_TYPES: Mapping[int, PixelType] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
}
"""The element types of inputs; integers receive the pixels 0 to 255."""

IMAGES = "images"
PIXELS = "pixels"

OPSET = 13
"""Opset of the preprocessing graph."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in a grey value, as in ITU-R BT.601 and in Pillow."""

ZEROS: Triple = (0.0, 0.0, 0.0)
ONES: Triple = (1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalization:
    """(pixels / scale - mean) / std in float32; mean and std are of red, green and blue.

    Raises:
        ClassifierError: A number is not finite, or a scale or std is not above 0.
    """

    scale: float = 255.0
    mean: Triple = ZEROS
    std: Triple = ONES
    channel_order: ChannelOrder = "rgb"

    def __post_init__(self) -> None:
        numbers = (self.scale, *self.mean, *self.std)
        if not (np.isfinite(numbers).all() and self.scale > 0 and min(self.std) > 0):
            raise ClassifierError(
                f"--scale is {self.scale:g}, --mean is {self.mean} and --std is {self.std},"
                " expected finite numbers, --scale and --std above 0"
            )

    def __str__(self) -> str:
        """Describe the normalization in a few words, for a model card."""
        order = "" if self.channel_order == "rgb" else f"{self.channel_order}, "
        moments = (
            "" if self.is_scaling else f", mean {self.mean}, std {self.std} (red, green, blue)"
        )
        return f"{order}(pixels / {self.scale:g} - mean) / std{moments}"

    @property
    def is_scaling(self) -> bool:
        """Whether the pixels are only divided by the scale."""
        return self.mean == ZEROS and self.std == ONES


PRESETS: Mapping[str, Normalization] = {
    "imagenet": Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "caffe": Normalization(scale=1.0, mean=(123.68, 116.779, 103.939), channel_order="bgr"),
    "tf": Normalization(scale=127.5, mean=ONES),
    "clip": Normalization(
        mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
    ),
}
"""Normalizations by name: torchvision's; Keras' modes `caffe` and `tf`; OpenAI's CLIP."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelTransform:
    """Preprocessing of a classifier from uint8 RGB images `(n, H, W, 3)` to its input.

    With one channel the input is a grey image. `rank` 4 is the layout, 3 is `(n, H, W)` of grey
    images, and 2 is `(n, D)`, the flattened layout.

    Raises:
        ClassifierError: The input takes integers and the pixels are to be normalized, or a grey
            input has a mean or std for each colour.
    """

    layout: Layout
    height: int
    width: int
    channels: Literal[1, 3] = 3
    rank: Literal[2, 3, 4] = 4
    normalization: Normalization = Normalization()
    pixel_type: PixelType = "float32"

    def __post_init__(self) -> None:
        rule = self.normalization
        if self.is_integer and not (rule.scale == 1 and rule.is_scaling):
            raise ClassifierError(
                f"the classifier takes {self.pixel_type} and scales the pixels itself, expected"
                " --scale 1 without --mean and --std"
            )
        if self.channels == 1 and (len(set(rule.mean)) > 1 or len(set(rule.std)) > 1):
            raise ClassifierError(
                f"--mean is {rule.mean} and --std is {rule.std}, expected one number each for a"
                " classifier with one channel"
            )

    @property
    def is_integer(self) -> bool:
        """Whether the classifier takes the pixels 0 to 255 as integers."""
        return not self.pixel_type.startswith("float")

    def with_normalization(self, normalization: Normalization) -> "PixelTransform":
        """Return the same transform with another normalization."""
        return replace(self, normalization=normalization)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Transform images `(n, H, W, 3)` to the classifier's input."""
        rule = self.normalization
        pixels: NDArray[Any] = images.transpose(0, 3, 1, 2)
        if rule.channel_order == "bgr" and self.channels == 3:
            pixels = pixels[:, ::-1]
        if self.channels == 1:
            grey = (pixels.astype(np.float32) * LUMA.reshape(3, 1, 1)).sum(axis=1, keepdims=True)
            pixels = np.rint(grey) if self.is_integer else grey
        if not self.is_integer:
            mean, std = (self._per_channel(each)[:, None, None] for each in (rule.mean, rule.std))
            pixels = (pixels.astype(np.float32) / np.float32(rule.scale) - mean) / std
        if self.layout == "nhwc":
            pixels = pixels.transpose(0, 2, 3, 1)
        shaped = pixels.reshape([len(images), *self._shape])
        return np.ascontiguousarray(shaped.astype(self.pixel_type))

    def graph(self) -> onnx.ModelProto:
        """Return the same transform as a graph from `images`, uint8 `(n, H, W, 3)`, to `pixels`."""
        rule, kind = self.normalization, np.dtype(self.pixel_type)
        axis, order = (1, [0, 3, 1, 2]) if self.layout == "nchw" else (3, [0, 1, 2, 3])
        spread = (-1, 1, 1) if axis == 1 else (-1,)
        graph = _Chain()
        graph.add("Transpose", perm=order)
        if rule.channel_order == "bgr" and self.channels == 3:
            graph.add("Gather", np.array([2, 1, 0], np.int64), axis=axis)
        if self.channels == 1:
            graph.add("Cast", to=TensorProto.FLOAT)
            graph.add("Mul", LUMA.reshape(spread))
            graph.add("ReduceSum", np.array([axis], np.int64), keepdims=1)
        if self.is_integer:
            if self.channels == 1:
                graph.add("Round")
        else:
            graph.add("Cast", to=TensorProto.FLOAT)
            graph.add("Div", np.asarray(rule.scale, np.float32))
            graph.add("Sub", self._per_channel(rule.mean).reshape(spread))
            graph.add("Div", self._per_channel(rule.std).reshape(spread))
        if kind != np.float32:
            graph.add("Cast", to=helper.np_dtype_to_tensor_dtype(kind))
        if self.rank < 4:
            graph.add("Reshape", np.array([-1, *self._shape], np.int64))
        graph.nodes[-1].output[0] = PIXELS
        ports = (
            helper.make_tensor_value_info(
                IMAGES, TensorProto.UINT8, ["n", self.height, self.width, 3]
            ),
            helper.make_tensor_value_info(
                PIXELS, helper.np_dtype_to_tensor_dtype(kind), ["n", *self._shape]
            ),
        )
        made = helper.make_graph(graph.nodes, "pixels", ports[:1], ports[1:], graph.constants)
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)])

    def __str__(self) -> str:
        """Describe the transform in one line, for a model card."""
        form = f"{self.layout}, {self.height}x{self.width}"
        form += ", grey" if self.channels == 1 else ""
        form += ", flattened" if self.rank == 2 else ""
        if not self.is_integer:
            kind = "" if self.pixel_type == "float32" else f", {self.pixel_type}"
            return f"{form}{kind}, {self.normalization}"
        order = ", bgr" if self.normalization.channel_order == "bgr" else ""
        return f"{form}{order}, {self.pixel_type}, unchanged"

    @property
    def _shape(self) -> list[int]:
        """The shape of one image in the classifier's input."""
        if self.rank == 2:
            return [self.channels * self.height * self.width]
        if self.rank == 3:
            return [self.height, self.width]
        sizes = [self.height, self.width]
        return [self.channels, *sizes] if self.layout == "nchw" else [*sizes, self.channels]

    def _per_channel(self, values: Triple) -> NDArray[np.float32]:
        """Return values of red, green and blue in the order of the channels."""
        ordered = values[::-1] if self.normalization.channel_order == "bgr" else values
        return np.asarray(ordered[: self.channels], np.float32)


class _Chain:
    """Nodes from `images`, each of which reads the previous one and a constant."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(
        self,
        operator: str,
        constant: NDArray[Any] | None = None,
        **attributes: Any,  # noqa: ANN401
    ) -> None:
        """Append a node."""
        inputs = [self.nodes[-1].output[0] if self.nodes else IMAGES]
        name = f"step_{len(self.nodes)}"
        if constant is not None:
            inputs.append(f"{name}_constant")
            self.constants.append(numpy_helper.from_array(constant, inputs[1]))
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
