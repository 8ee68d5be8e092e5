"""An exported bundle as a classifier with gradients: its graph, run by torch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.bundle import Bundle
from oodguard.models.errors import BundleError
from oodguard.models.manifest import InputSpec
from oodguard.models.scores.base import Score
from oodguard.training.data.dataset import to_pixels
from oodguard.training.onnx_torch.module import OnnxModule
from oodguard.training.onnx_torch.node import unsupported
from oodguard.training.scoring.graph import ScoredClassifier, evaluation_batch_size
from oodguard.training.scoring.parity import onnx_run

CHECKED_PAIRS = 4
COARSE = 4
"""The side of the blocks of one colour in half of these images."""

FLOAT_DIFFERENCE = 1e-3
"""The largest difference to ONNX Runtime, relative to the largest value of a column."""

INT8_DIFFERENCE = 0.1
"""The same for a graph that rounds activations: a value next to a step may take the other one."""


class IndependentConcat(torch.autograd.Function):
    """Concatenate columns `(n, 1)` to `(n, S)` with independent gradients.

    Plain concatenation passes a gradient of zeros to columns without an objective. That costs a
    backward pass through each, and where a derivative is infinite, 0 times infinity is NaN and
    makes the whole gradient NaN.
    """

    @staticmethod
    def forward(_: Any, *columns: Tensor) -> Tensor:  # noqa: ANN401  (torch's context)
        """Concatenate the columns."""
        return torch.cat(columns, dim=1)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Pass each column its own gradient, or None where that is zero for all images."""
        return tuple(part if part.any() else None for part in gradients[0].split(1, dim=1))


class BundleClassifier(ScoredClassifier):
    """The graph of a bundle with its scores by name.

    Its features are the score columns `(n, S)`, because the graph computes the scores itself.
    """

    def __init__(self, graph: OnnxModule, scores: Sequence[str], *, classes: int) -> None:
        super().__init__({name: _column(k) for k, name in enumerate(scores)}, classes=classes)
        self.graph = graph

    def features_and_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to score columns `(n, S)` and logits `(n, K)`."""
        # The graph's uint8 input as float, so that gradients pass; the graph scales it again.
        logits, *columns = self.graph(255 * pixels.permute(0, 2, 3, 1))
        joined: Tensor = IndependentConcat.apply(*columns)  # type: ignore[no-untyped-call]
        return joined, logits


def bundle_classifier(bundle: Bundle) -> BundleClassifier:
    """Return the graph of a bundle in torch, in evaluation mode.

    Raises:
        BundleError: The graph is invalid, or has something that is not supported here, other
            outputs than in ONNX Runtime, or no gradient; the message names it.
    """
    try:
        model = onnx.load_model_from_string(bundle.model)
    except DecodeError as error:
        raise BundleError(f"model.onnx: invalid ONNX model: {error}. Export it again.") from error
    names = bundle.manifest.scores
    graph = OnnxModule(model, outputs=("logits", *_score_tensors(model.graph, count=len(names))))
    graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    classifier = BundleClassifier(graph, names, classes=len(bundle.manifest.classes)).eval()
    images = _check_images(bundle.manifest.input)
    _check_outputs(classifier, bundle.model, images, rounds=_rounds(model.graph))
    _check_gradient(classifier, images)
    return classifier


def _check_images(spec: InputSpec) -> NDArray[np.uint8]:
    """Return images `(n, H, W, 3)`: noise and coloured blocks in turn, each pair darker."""
    height, width = spec.height, spec.width
    noise = np.random.default_rng(0).integers(256, size=(CHECKED_PAIRS, height, width, 3))
    noise = noise // np.arange(1, CHECKED_PAIRS + 1)[:, None, None, None]
    blocks = noise[:, ::COARSE, ::COARSE].repeat(COARSE, axis=1).repeat(COARSE, axis=2)
    pairs = np.stack([noise, blocks[:, :height, :width]], axis=1).astype(np.uint8)
    return pairs.reshape(-1, height, width, 3)[: evaluation_batch_size(height, width)]


def _rounds(graph: onnx.GraphProto) -> bool:
    return any(node.op_type in {"QuantizeLinear", "DynamicQuantizeLinear"} for node in graph.node)


def _check_outputs(
    classifier: BundleClassifier, model: bytes, images: NDArray[np.uint8], *, rounds: bool
) -> None:
    """Check that torch computes the logits and scores of ONNX Runtime.

    Raises:
        UnsupportedGraph: It does not: an attack would be one on another function.
    """
    limit = INT8_DIFFERENCE if rounds else FLOAT_DIFFERENCE
    try:
        with torch.no_grad():
            scores, logits = classifier.features_and_outputs(to_pixels(torch.from_numpy(images)))
    except RuntimeError as error:  # shapes that do not fit, or types that torch does not combine
        first_line = str(error).partition("\n")[0]
        raise unsupported(f"an operator that fails in torch ({first_line})") from error
    for found, expected in zip((logits, scores), onnx_run(model)(images), strict=True):
        scale = np.maximum(1, np.abs(expected).max(axis=0))
        difference = float((np.abs(found.numpy() - expected) / scale).max())
        if not difference <= limit:
            raise unsupported(
                "an operator with other results in torch than in ONNX Runtime (outputs differ by"
                f" {difference:.2g} of the largest value, expected at most {limit:g})"
            )


def _check_gradient(classifier: BundleClassifier, images: NDArray[np.uint8]) -> None:
    """Check that the logits depend on the images by operators with a gradient.

    Raises:
        UnsupportedGraph: They do not, as for a classifier whose input is int32 or int64, or the
            gradient is zero for all images.
    """
    pixels = to_pixels(torch.from_numpy(images)).requires_grad_()
    with torch.enable_grad():
        _, logits = classifier.features_and_outputs(pixels)
    if not logits.requires_grad:
        raise unsupported("pixels that are cast to another type of integers")
    (gradient,) = torch.autograd.grad(logits.square().sum(), pixels)
    if not gradient.any():
        raise unsupported("an operator whose gradient is zero for every image")


def _score_tensors(graph: onnx.GraphProto, *, count: int) -> Sequence[str]:
    """Return the tensors `(n, 1)` that `scores` concatenates, or `scores` if it is made otherwise.

    Export and wrapping both end with this concatenation.
    """
    for node in graph.node:
        if "scores" in node.output and node.op_type == "Concat" and len(node.input) == count:
            return list(node.input)
    return ["scores"]


def _column(index: int) -> Score:
    return lambda features, _: features[:, index]
