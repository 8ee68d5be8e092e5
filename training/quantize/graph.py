"""Quantize an ONNX graph to INT8 with ONNX Runtime's static quantizer."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from oodguard.models.errors import BundleError
from oodguard.training.export.onnx import drop_repeated_opsets, strip_metadata
from oodguard.training.quantize.equalize import equalize_channels

OPERATORS = ("Conv", "MatMul", "Gemm", "Add", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool")
"""Operators with INT8 kernels.

Convolutions alone are slower (2.6 instead of 3.1 times as fast as float32 in batches of 64, graph
of cifar10-aloe) and not more exact.
"""

LINEAR = frozenset({"Conv", "MatMul", "Gemm"})

PER_CHANNEL_OPSET = 13
"""The first opset whose DequantizeLinear has one scale per channel."""

RANGE_BATCH_SIZE = 50

QUANTIZER_ERRORS = (
    RuntimeError,
    ValueError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    version_converter.ConvertError,
)


def prepare(model: bytes, images: NDArray[np.uint8]) -> onnx.ModelProto:
    """Return a bundle's graph with the same outputs, ready to be quantized.

    BatchNorm is folded into the layer before it, and channels are scaled to similar ranges.

    Args:
        model: A graph with the input `images` and the outputs `logits` and `scores`.
        images: Images `(n, H, W, 3)` that set the ranges.

    Raises:
        BundleError: ONNX Runtime cannot read the graph.
    """
    with TemporaryDirectory() as folder, _quantizer():
        original, prepared = Path(folder, "original.onnx"), Path(folder, "prepared.onnx")
        onnx.save(_with_opset(onnx.load_model_from_string(model)), original)
        quant_pre_process(original, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared)
    for number, node in enumerate(graph.graph.node):
        node.name = node.name or f"unnamed_{number}"  # nodes to quantize are chosen by name
    equalize_channels(graph, images)
    return graph


def quantize_graph(graph: onnx.ModelProto, images: NDArray[np.uint8]) -> onnx.ModelProto:
    """Quantize the weights and activations of a prepared graph.

    Weights are int8 with one scale per output channel. Activations are uint8 with one scale and
    zero point per tensor, from the smallest and largest value on `images`. The first and the
    last linear layer and the scores stay in float32. (With int8 activations the graph is slower
    than in float32 on x86.)

    Args:
        graph: A graph from `prepare`; it is not changed.
        images: Images `(n, H, W, 3)` that set the ranges of the activations.

    Raises:
        BundleError: ONNX Runtime cannot quantize the graph, or nothing in it can be quantized.

    Source: Jacob et al., arXiv:1712.05877; https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    nodes = nodes_to_quantize(graph)
    if not nodes:
        raise BundleError(
            "model.onnx has no Conv, MatMul or Gemm between its first and its last one,"
            " expected at least one to quantize. Serve the float32 bundle"
        )
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)  # the quantizer moves the weights of its input to a file
    with TemporaryDirectory() as folder, _quantizer():
        quantized = Path(folder, "quantized.onnx")
        quantize_static(
            copy,
            quantized,
            _Images(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        result: onnx.ModelProto = onnx.load(quantized)
    strip_metadata(result)
    return result


def nodes_to_quantize(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes of `OPERATORS` between the first and the last linear layer.

    Both layers stay in float32. They cost hardly any time, and much of the error comes from them
    (cifar10-aloe, 10,000 test images): with the last one in INT8, the error of the score is twice
    as large; with the first one in INT8, .58 instead of .39 % of the classes change. If
    pixels are centred, their 256 values are exactly half-way between the levels of the INT8 range.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    last = next((n for n in _ancestors(producers, ["logits"]) if n.op_type in LINEAR), None)
    start = list(last.input) if last is not None else []
    before = list(_ancestors(producers, start))
    first = {
        node.name
        for node in before
        if node.op_type in LINEAR
        and not any(n.op_type in LINEAR for n in _ancestors(producers, list(node.input)))
    }
    chosen = [n for n in before if n.op_type in OPERATORS and n.name not in first]
    return [n.name for n in chosen] if any(n.op_type in LINEAR for n in chosen) else []


def _ancestors(
    producers: dict[str, onnx.NodeProto], tensors: list[str]
) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that the tensors depend on, nearest first (breadth first)."""
    queue, seen = list(tensors), set(tensors)
    for name in queue:  # the list grows
        if name in producers:
            yield producers[name]
            new = [each for each in producers[name].input if each not in seen]
            seen.update(new)
            queue.extend(new)


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """The images in batches, as ONNX Runtime's quantizer reads them."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        starts = range(0, len(images), RANGE_BATCH_SIZE)
        self._batches = iter([images[start : start + RANGE_BATCH_SIZE] for start in starts])

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _with_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    drop_repeated_opsets(model)  # bundles that earlier commits wrapped have them
    versions = [each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}]
    if max(versions, default=0) >= PER_CHANNEL_OPSET:
        return model
    return version_converter.convert_version(model, PER_CHANNEL_OPSET)


@contextmanager
def _quantizer() -> Iterator[None]:
    """Raise the quantizer's errors as BundleError, and suppress its advice to preprocess."""
    logger = logging.getLogger()
    disabled = logger.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    except QUANTIZER_ERRORS as error:
        first_line = str(error).partition("\n")[0]
        raise BundleError(
            f"ONNX Runtime cannot quantize model.onnx: {first_line}. Serve the float32 bundle"
        ) from error
    finally:
        logging.disable(disabled)
