"""The engine takes the graph that the manifest describes, and no other."""

import numpy as np
import onnxruntime
import pytest

from oodguard.models.errors import BundleError
from oodguard.service.inference.model import LoadedModel
from oodguard.service.inference.session import ModelSession
from tests.service.graphs import graph


def engine(model: LoadedModel, onnx: bytes, max_batch: int = 4) -> ModelSession:
    return ModelSession(
        onnx, model.bundle.manifest, device="cpu", threads=1, threads_per_run=1, max_batch=max_batch
    )


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 9])
def test_any_number_of_images_gives_what_a_bare_session_gives(model: LoadedModel, n: int) -> None:
    images = np.random.default_rng(n).integers(0, 256, (n, 8, 8, 3), np.uint8)
    bare = onnxruntime.InferenceSession(graph(), providers=["CPUExecutionProvider"])
    logits, scores = bare.run(["logits", "scores"], {"images": images})
    came = engine(model, graph()).run(images)
    np.testing.assert_array_equal(came[0], logits)
    np.testing.assert_array_equal(came[1], scores)


@pytest.mark.parametrize(
    ("onnx", "message"),
    [
        pytest.param(b"not a graph", "refused by ONNX Runtime", id="no graph"),
        pytest.param(graph()[:300], "refused by ONNX Runtime", id="cut off"),
        pytest.param(graph(input_name="x"), r"has \['x'\]; \['images'\] is wanted", id="name"),
        pytest.param(graph(images=(1, 8, 8, 3)), "with n free is wanted", id="fixed batch"),
        pytest.param(graph(images=("n", 9, 8, 3)), r"\['n', 8, 8, 3\]", id="height"),
        pytest.param(graph(images=("n", 3, 8, 8)), r"\['n', 8, 8, 3\]", id="channels first"),
    ],
)
def test_a_graph_that_is_not_the_manifest_s_is_refused(
    model: LoadedModel, onnx: bytes, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        engine(model, onnx)


def test_a_width_that_only_a_run_shows_is_caught_by_the_warm_up(model: LoadedModel) -> None:
    open_width = engine(model, graph(hidden_width=2))
    with pytest.raises(BundleError, match=r"logits of shape \(1, 2\) to 1 images; \(1, 3\)"):
        open_width.warm_up()


def test_the_real_providers_are_reported(model: LoadedModel) -> None:
    assert model.engine.providers == ("CPUExecutionProvider",)
