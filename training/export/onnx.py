"""A torch module as one ONNX model with a dynamic batch."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import onnx
import torch
from torch import Tensor, nn

from oodguard.models.manifest import InputSpec
from oodguard.training.scoring.graph import ScoredNetwork


def to_onnx(classifier: ScoredNetwork, spec: InputSpec) -> bytes:
    """Serialise: input `images` uint8 `(n, H, W, 3)`, outputs `logits` and `scores` float32."""
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    model = export_module(classifier, example, takes="images", gives=("logits", "scores"))
    serialised: bytes = model.SerializeToString()
    return serialised


def export_module(
    module: nn.Module, example: Tensor, *, takes: str, gives: Sequence[str]
) -> onnx.ModelProto:
    """Return a module of one tensor as an ONNX model, its first dimension free, checked."""
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            input_names=[takes],
            output_names=list(gives),
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    strip_metadata(model)
    onnx.checker.check_model(model, full_check=True)
    return model


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


def strip_metadata(model: onnx.ModelProto) -> None:
    """Drop an exporter's notes: stack traces with paths of the machine that it ran on."""
    graph = model.graph
    parts = chain(
        (model, graph), graph.node, graph.input, graph.output, graph.value_info, graph.initializer
    )
    for part in parts:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
