"""Export torch modules to ONNX with a dynamic batch dimension."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, starmap

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from oodguard.models.manifest import InputSpec
from oodguard.training.scoring.graph import ScoredNetwork


def to_onnx(classifier: ScoredNetwork, spec: InputSpec) -> bytes:
    """Serialize a network with scores as an ONNX model.

    Its input `images` is uint8 `(n, H, W, 3)`; its outputs `logits` and `scores` are float32.
    """
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    model = export_module(
        classifier, example, input_names=["images"], output_names=("logits", "scores")
    )
    serialized: bytes = model.SerializeToString()
    return serialized


def export_module(
    module: nn.Module, *examples: Tensor, input_names: Sequence[str], output_names: Sequence[str]
) -> onnx.ModelProto:
    """Export a module and check the ONNX model; the first dimension of its inputs is dynamic."""
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            examples,
            dynamo=True,
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_shapes=tuple({0: torch.export.Dim("n")} for _ in examples),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    strip_metadata(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def strip_metadata(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes, which are stack traces with paths of the exporting machine."""
    graph = model.graph
    parts = chain(
        (model, graph), graph.node, graph.input, graph.output, graph.value_info, graph.initializer
    )
    for part in parts:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def drop_repeated_opsets(model: onnx.ModelProto) -> None:
    """Keep the newest version of each domain: ONNX Runtime's quantizer refuses a repeated one."""
    versions: dict[str, int] = {}
    for each in model.opset_import:
        versions[each.domain] = max(each.version, versions.get(each.domain, 0))
    del model.opset_import[:]
    model.opset_import.extend(starmap(helper.make_opsetid, versions.items()))


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's log and warnings about its own internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            # About two inputs that share their first dimension, which is intended.
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)
            yield
    finally:
        logger.setLevel(level)
