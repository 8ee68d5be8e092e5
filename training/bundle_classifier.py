"""An exported bundle as a classifier that can be attacked: its very graph, run by torch."""

from collections.abc import Sequence

import onnx
import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from models.bundle import Bundle
from models.errors import BundleError
from models.scores.base import Score
from training.apart import Apart
from training.graph import Scored
from training.onnx_torch.module import OnnxModule


class BundleClassifier(Scored):
    """A bundle's graph with its scores by name.

    Its features are the score columns `(n, S)`: what the scores are made of is inside the graph.
    """

    def __init__(self, graph: OnnxModule, scores: Sequence[str], *, classes: int) -> None:
        super().__init__({name: _column(k) for k, name in enumerate(scores)}, classes=classes)
        self.graph = graph

    def all_outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map float `(n, 3, H, W)` in [0, 1] to score columns `(n, S)` and logits `(n, K)`."""
        # The graph's uint8 pixels as float: it scales them down again, and gradients pass.
        logits, *columns = self.graph(255 * pixels.permute(0, 2, 3, 1))
        joined: Tensor = Apart.apply(*columns)  # type: ignore[no-untyped-call]
        return joined, logits


def bundle_classifier(bundle: Bundle) -> BundleClassifier:
    """Return the bundle's graph in torch, in evaluation mode.

    Raises:
        BundleError: the graph has something that is not run in torch here, or lacks something; the
            message names it.
    """
    try:
        model = onnx.load_model_from_string(bundle.model)
    except DecodeError as error:
        raise BundleError(f"model.onnx is no ONNX model: {error}; export it anew") from error
    names = bundle.manifest.scores
    graph = OnnxModule(model, outputs=("logits", *_columns(model.graph, count=len(names))))
    graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # convolves faster
    return BundleClassifier(graph, names, classes=len(bundle.manifest.classes)).eval()


def _columns(graph: onnx.GraphProto, *, count: int) -> Sequence[str]:
    """Return the tensors `(n, 1)` that `scores` is joined of, or itself where it is made otherwise.

    Both of the ways to a bundle, export and wrapping, end in one that joins the columns.
    """
    for node in graph.node:
        if "scores" in node.output and node.op_type == "Concat" and len(node.input) == count:
            return list(node.input)
    return ["scores"]


def _column(place: int) -> Score:
    return lambda features, _: features[:, place]
