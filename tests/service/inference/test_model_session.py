"""The session: outputs of ONNX Runtime, and rejection of graphs unlike the manifest."""

import numpy as np
import onnxruntime
import pytest

from oodguard.models.errors import BundleError
from oodguard.service.inference.model import LoadedModel
from oodguard.service.inference.session import ModelSession
from tests.service.graphs import graph


def session(model: LoadedModel, onnx: bytes, max_batch: int = 4) -> ModelSession:
    return ModelSession(
        onnx, model.bundle.manifest, device="cpu", threads=1, threads_per_run=1, max_batch=max_batch
    )


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 9])
def test_session_returns_the_outputs_of_onnx_runtime(model: LoadedModel, n: int) -> None:
    images = np.random.default_rng(n).integers(0, 256, (n, 8, 8, 3), np.uint8)
    bare = onnxruntime.InferenceSession(graph(), providers=["CPUExecutionProvider"])
    logits, scores = bare.run(["logits", "scores"], {"images": images})
    received = session(model, graph()).run(images)
    np.testing.assert_array_equal(received[0], logits)
    np.testing.assert_array_equal(received[1], scores)


@pytest.mark.parametrize(
    ("onnx", "message"),
    [
        pytest.param(b"not a graph", "ONNX Runtime .* rejects model.onnx", id="no graph"),
        pytest.param(graph()[:300], "ONNX Runtime .* rejects model.onnx", id="truncated"),
        pytest.param(graph(input_name="x"), r"\['x'\], expected \['images'\]", id="name"),
        pytest.param(graph(images=(1, 8, 8, 3)), "with a free n", id="fixed batch"),
        pytest.param(graph(images=("n", 9, 8, 3)), r"\['n', 8, 8, 3\]", id="height"),
        pytest.param(graph(images=("n", 3, 8, 8)), r"\['n', 8, 8, 3\]", id="channels first"),
    ],
)
def test_session_rejects_a_graph_that_does_not_match_the_manifest(
    model: LoadedModel, onnx: bytes, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        session(model, onnx)


def test_warm_up_rejects_an_output_of_another_width(model: LoadedModel) -> None:
    open_width = session(model, graph(hidden_width=2))
    with pytest.raises(
        BundleError, match=r"logits of shape \(1, 2\) for 1 images, expected \(1, 3\)"
    ):
        open_width.warm_up()
