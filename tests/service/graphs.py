"""A tiny real graph whose outputs can be computed by hand.

Logits are the channel means divided by 25, so the class is the strongest channel; the scores are
the brightness (mean of all pixels, 0 to 255) and its negative.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper

CLASSES = ("red", "green", "blue")
SCORES = ("brightness", "darkness")
SIZE = 8


def graph(
    *,
    images: Sequence[int | str] = ("n", SIZE, SIZE, 3),
    input_name: str = "images",
    hidden_width: int | None = None,
    classes: int = len(CLASSES),
) -> bytes:
    """Serialize the graph; most other arguments than the defaults break its contract.

    `hidden_width` slices the logits to a width that the graph does not declare. With more
    `classes` than channels, the logits of a channel are repeated.
    """
    nodes = [
        helper.make_node("Cast", [input_name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "space"], ["means"], keepdims=0),
        helper.make_node("Mul", ["means", "gain"], ["channels"]),
        helper.make_node(
            "Gather",
            ["channels", "classes"],
            ["logits" if hidden_width is None else "all"],
            axis=1,
        ),
        helper.make_node("ReduceMean", ["means", "channel"], ["brightness"], keepdims=1),
        helper.make_node("Neg", ["brightness"], ["darkness"]),
        helper.make_node("Concat", ["brightness", "darkness"], ["scores"], axis=1),
    ]
    if hidden_width is not None:
        nodes += [
            helper.make_node("ReduceMin", ["pixels"], ["least"], keepdims=0),
            helper.make_node("Cast", ["least"], ["some"], to=TensorProto.INT64),
            helper.make_node("Mul", ["some", "zero"], ["none"]),
            helper.make_node("Add", ["none", "width"], ["end"]),
            helper.make_node("Slice", ["all", "zero", "end", "channel"], ["logits"]),
        ]
    constants: dict[str, NDArray[np.generic]] = {
        "zero": np.array([0], np.int64),
        "width": np.array([hidden_width or 0], np.int64),
        "space": np.array([1, 2], np.int64),
        "channel": np.array([1], np.int64),
        "gain": np.array([0.04], np.float32),
        "classes": np.arange(classes) % len(CLASSES),
    }
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(input_name, TensorProto.UINT8, list(images))],
            [
                helper.make_tensor_value_info(
                    "logits", TensorProto.FLOAT, ["n", classes if hidden_width is None else "k"]
                ),
                helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2]),
            ],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized
