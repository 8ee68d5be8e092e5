"""What a given classifier takes for pixels, as numbers and as the graph that makes them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.errors import ClassifierError

Layout = Literal["nchw", "nhwc"]
Triple = tuple[float, float, float]

IMAGES = "images"
PIXELS = "pixels"
OPSET = 13
"""Of the graph in front; none of its operators has changed its meaning since."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pixels:
    """A classifier's pixels: uint8 RGB / `scale`, minus `mean`, divided by `std`, per channel.

    Raises:
        ClassifierError: a scale or std that is not above zero, or a classifier of uint8 images
            that is to be given other numbers.
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
                f"scale {self.scale:g} and std {self.std} came; numbers above 0 are wanted"
            )
        if self.as_uint8 and (self.scale != 1 or self._normalises):
            raise ClassifierError(
                "the classifier takes uint8, so it scales the pixels itself:"
                " --scale 1 without --mean and --std is wanted"
            )

    @property
    def _normalises(self) -> bool:
        return self.mean != (0.0, 0.0, 0.0) or self.std != (1.0, 1.0, 1.0)

    def of(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | NDArray[np.uint8]:
        """Bring images `(n, H, W, 3)` to what the classifier takes, as float32 or uint8."""
        ordered = images.transpose(0, 3, 1, 2) if self.layout == "nchw" else images
        if self.as_uint8:
            return np.ascontiguousarray(ordered)
        mean, std = (self._per_channel(values) for values in (self.mean, self.std))
        return (ordered.astype(np.float32) / np.float32(self.scale) - mean) / std

    def graph(self) -> onnx.ModelProto:
        """Return the same as a graph from `images` uint8 `(n, H, W, 3)` to `pixels`."""
        kind = TensorProto.UINT8 if self.as_uint8 else TensorProto.FLOAT
        order = [0, 3, 1, 2] if self.layout == "nchw" else [0, 1, 2, 3]
        nodes = [
            helper.make_node("Transpose", [IMAGES], ["ordered"], perm=order),
            helper.make_node("Cast", ["ordered"], ["cast"], to=kind),
        ]
        constants = self._constants()
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

    def _constants(self) -> dict[str, NDArray[np.float32]]:
        """Return what the pixels are divided by, less and divided by, in that order."""
        if self.as_uint8:
            return {}
        return {
            "scale": np.asarray(self.scale, np.float32),
            "mean": self._per_channel(self.mean),
            "std": self._per_channel(self.std),
        }

    def __str__(self) -> str:
        """Say it in one line, as a card does."""
        rule = "uint8 as they are" if self.as_uint8 else f"(pixels / {self.scale:g} - mean) / std"
        numbers = "" if not self._normalises else f", mean {self.mean}, std {self.std}"
        return f"{self.layout}, {self.height}x{self.width}, {rule}{numbers}"

    def _per_channel(self, values: Triple) -> NDArray[np.float32]:
        shape = (3, 1, 1) if self.layout == "nchw" else (3,)
        return np.asarray(values, np.float32).reshape(shape)
