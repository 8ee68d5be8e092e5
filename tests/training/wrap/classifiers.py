"""Small classifiers of colour, as other tools export them.

Their logits can be computed by hand: the means of red, green and blue, times a gain.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import Tensor, nn

CLASSES = ("blue", "green", "red")  # as folders sort
SIZE = 8
GAIN = 8.0

Dims = Sequence[int | str]


def hand_made(  # noqa: PLR0913  (each has a default)
    *,
    layout: str = "nhwc",
    shape: Dims = ("n", SIZE, SIZE, 3),
    tail: Sequence[str] = (),
    output: Dims = ("n", 3),
    opset: int = 17,
    ir_version: int = 8,
    weights_are_inputs: bool = False,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Logits `(n, 3)`: GAIN times the means of blue, green and red; then the operators of `tail`.

    Written for opsets below 18, where the axes of a mean are an attribute.
    """
    space, channel = ([1, 2], "nhwc") if layout == "nhwc" else ([2, 3], "nchw")
    names = ["means", "turned", "logits", *(f"tail_{number}" for number in range(len(tail)))]
    nodes = [
        helper.make_node("Cast", ["input"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["means"], axes=space, keepdims=0),
        helper.make_node("Gather", ["means", "bgr"], ["turned"], axis=1),
        helper.make_node("Mul", ["turned", "gain"], ["logits"]),
        *(
            helper.make_node(operator, [names[at + 2]], [names[at + 3]])
            for at, operator in enumerate(tail)
        ),
    ]
    weights = [
        numpy_helper.from_array(np.array([2, 1, 0], np.int64), "bgr"),
        numpy_helper.from_array(np.array([GAIN], np.float32), "gain"),
    ]
    inputs = [helper.make_tensor_value_info("input", kind, list(shape))]
    if weights_are_inputs:
        inputs += [
            helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in weights
        ]
    outputs = [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, list(output))]
    graph = helper.make_graph(nodes, channel, inputs, outputs, weights)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )


class ColourNet(nn.Module):
    """The same in torch: a 1x1 convolution, pooled to 2x2, flattened by the size of its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Conv2d(3, 3, 1, bias=False)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear(12, 3)
        with torch.no_grad():
            self.turn.weight.copy_(torch.eye(3).flip(0).view(3, 3, 1, 1))
            self.head.weight.copy_(torch.eye(3).repeat_interleave(4, dim=1) * GAIN / 4)
            self.head.bias.zero_()

    def forward(self, pixels: Tensor) -> Tensor:
        pooled: Tensor = self.pool(self.turn(pixels))
        logits: Tensor = self.head(pooled.reshape(pooled.shape[0], -1))
        return logits


class ConvolvedColourNet(ColourNet):
    """ColourNet after two convolutions that change nothing."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 3, 1, bias=False) for _ in range(2)]
        for layer in layers:
            nn.init.dirac_(layer.weight)
        self.convolutions = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(self.convolutions(pixels))


def exported(path: Path, *, batch: int | None, network: type[nn.Module] = ColourNet) -> Path:
    """Export a network with a fixed or a dynamic batch size."""
    shapes = None if batch else ({0: torch.export.Dim("batch")},)
    example = torch.zeros(batch or 2, 3, SIZE, SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about internals of torch
        program = torch.onnx.export(
            network().eval(), (example,), dynamo=True, dynamic_shapes=shapes, verbose=False
        )
    assert program is not None
    onnx.save(program.model_proto, path)
    return path


def expected_logits(images: NDArray[np.uint8], *, scale: float = 255) -> NDArray[np.float64]:
    means: NDArray[np.float64] = images.astype(np.float64).mean(axis=(1, 2))[:, ::-1]
    return means / scale * GAIN


def draw_folder(folder: Path, *, each: int = 60, seed: int = 1) -> Path:
    """Write noisy images in one sub-folder per colour, whose channel is the brightest."""
    generator = np.random.default_rng(seed)
    for channel, name in zip((2, 1, 0), CLASSES, strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = generator.integers(0, 120, (SIZE, SIZE, 3), dtype=np.uint8)
            pixels[:, :, channel] += np.uint8(generator.integers(20, 130))
            Image.fromarray(pixels).save(folder / name / f"{number:03d}.png")
    return folder


def draw_greys(folder: Path, *, count: int = 40) -> Path:
    """Write grey images, which have no brightest channel."""
    generator = np.random.default_rng(2)
    folder.mkdir(parents=True)
    for number in range(count):
        grey = generator.integers(0, 120, (SIZE, SIZE, 1), dtype=np.uint8)
        Image.fromarray(np.repeat(grey, 3, axis=2)).save(folder / f"{number:03d}.png")
    return folder
