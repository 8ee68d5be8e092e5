"""What a given classifier takes for pixels, as numbers and as the graph that makes them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.classifier import OriginalClassifier, Shape

Layout = Literal["nchw", "nhwc"]

Triple = tuple[float, float, float]

IMAGES = "images"

PIXELS = "pixels"

OPSET = 13
"""Of the graph in front; none of its operators has changed its meaning since."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelTransform:
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


CHANNELS = {"nchw": 1, "nhwc": 3}

SIZES = {"nchw": (2, 3), "nhwc": (1, 2)}

LARGEST = 4096
"""Side of an image that a bundle can have."""


def infer_layout(shape: Shape, said: Layout | None) -> Layout:
    """Return the layout of an input of this shape, None where a dimension is free.

    Raises:
        ClassifierError: no images of three channels, or the layout cannot be told.
    """
    if len(shape) != 4:
        raise ClassifierError(f"the input has shape {_told(shape)}; four dimensions are wanted")
    fitting: list[Layout] = [
        layout for layout in ("nchw", "nhwc") if shape[CHANNELS[layout]] in {3, None}
    ]
    certain: list[Layout] = [layout for layout in fitting if shape[CHANNELS[layout]] == 3]
    if said is not None:
        if said not in fitting:
            raise ClassifierError(
                f"--layout {said} came; the input of shape {_told(shape)} has not three channels"
            )
        return said
    if not fitting:
        raise ClassifierError(f"the input has shape {_told(shape)}; three channels are wanted")
    if len(certain) != 1:
        raise ClassifierError(
            f"an input of shape {_told(shape)} may be nchw or nhwc: say which with --layout"
        )
    return certain[0]


def infer_size(
    shape: Shape, layout: Layout, *, height: int | None, width: int | None
) -> tuple[int, int]:
    """Return height and width in pixels.

    Raises:
        ClassifierError: the input leaves one free and none was said, or another was said.
    """
    sizes = []
    for option, axis, said in zip(
        ("--height", "--width"), SIZES[layout], (height, width), strict=True
    ):
        fixed = shape[axis]
        if None not in {fixed, said} and fixed != said:
            raise ClassifierError(f"{option} {said} came; the input's is {fixed}")
        side = fixed if fixed is not None else said
        if side is None:
            raise ClassifierError(
                f"the input of shape {_told(shape)} takes any size: say which with {option}"
            )
        if not 1 <= side <= LARGEST:
            raise ClassifierError(f"the input has a side of {side}; 1 to {LARGEST} is wanted")
        sizes.append(side)
    return sizes[0], sizes[1]


def _told(shape: Shape) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"


def with_dynamic_batch(original: OriginalClassifier) -> onnx.ModelProto:
    """Return a copy of the graph that declares no batch size.

    Where images are reshaped to a constant shape that begins with the old batch size, that becomes
    free. Nothing else is changed, so a graph that has the batch size elsewhere, as in its weights,
    still fails: the caller holds the answers against the original's.
    """
    model = onnx.ModelProto()
    model.CopyFrom(original.model)
    graph = model.graph
    # What was inferred for the old size would contradict the new one.
    del graph.value_info[:]
    for port in (*graph.input, *graph.output):
        if port.name in {original.takes, original.gives}:
            port.type.tensor_type.shape.dim[0].dim_param = "n"
    batch = original.shape[0]
    if batch is not None:
        _free_reshapes(graph, original.takes, batch)
    return model


def _free_reshapes(graph: onnx.GraphProto, takes: str, batch: int) -> None:
    shapes = _constants(graph)
    of_images = {takes}
    freed = set()
    for node in graph.node:  # which come in the order of their use
        if of_images.isdisjoint(node.input):
            continue
        of_images.update(node.output)
        if node.op_type != "Reshape" or node.input[1] not in shapes:
            continue
        name = node.input[1]
        if name in freed or _free(shapes[name], batch):
            freed.add(name)
            # Else the 0 of a freed shape would be a size, not "as it came".
            kept = [each for each in node.attribute if each.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    return constants


def _free(shape: onnx.TensorProto, batch: int) -> bool:
    """Free a constant shape that begins with the batch size; say whether it did."""
    sizes = numpy_helper.to_array(shape).copy()
    if len(sizes) < 2 or sizes[0] != batch:
        return False
    # -1 is worked out from the others; 0, where -1 is taken, is the size of what came in.
    sizes[0] = 0 if -1 in sizes else -1
    shape.CopyFrom(numpy_helper.from_array(sizes, shape.name))
    return True
