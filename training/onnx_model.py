"""A torch classifier as one ONNX model with a dynamic batch."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import onnx
import torch

from models.manifest import InputSpec
from training.graph import ScoredClassifier


def to_onnx(classifier: ScoredClassifier, spec: InputSpec) -> bytes:
    """Serialise: input `images` uint8 `(n, H, W, 3)`, outputs `logits` and `scores` float32."""
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            classifier.eval(),
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits", "scores"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    _forget_the_machine(model)
    onnx.checker.check_model(model, full_check=True)
    serialised: bytes = model.SerializeToString()
    return serialised


@contextmanager
def _quiet() -> Iterator[None]:
    """Mute what the exporter says of its own insides: unused operators, deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _forget_the_machine(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces with paths of the machine that it ran on."""
    graph = model.graph
    parts = chain(
        (model, graph), graph.node, graph.input, graph.output, graph.value_info, graph.initializer
    )
    for part in parts:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
