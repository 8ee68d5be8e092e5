"""I/O binding: padded batches in buffers, which return the outputs of a plain session."""

import sys
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from oodguard.service.inference.io_binding import IoBinding, batch_sizes
from tests.service.graphs import graph

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@pytest.mark.parametrize(
    ("max_batch", "sizes"),
    [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8]), (9, [1, 2, 4, 8, 9])],
)
def test_batch_sizes_double_up_to_max_batch(max_batch: int, sizes: list[int]) -> None:
    assert batch_sizes(max_batch) == sizes


class RecordingSession:
    """A session that records the batch size of each run."""

    def __init__(self, provider: str) -> None:
        self._session = ort.InferenceSession(graph(), providers=[provider])
        self.sizes: list[str] = []

    def io_binding(self) -> ort.IOBinding:
        return self._session.io_binding()

    def run_with_iobinding(self, binding: ort.IOBinding, options: Any) -> None:
        self.sizes.append(options.get_run_config_entry("gpu_graph_id"))
        self._session.run_with_iobinding(binding, options)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_io_binding_pads_batches_and_returns_the_outputs_of_a_plain_session(device: str) -> None:
    if PROVIDERS[device] not in ort.get_available_providers():
        pytest.skip(f"this ONNX Runtime has no {PROVIDERS[device]}")
    ort.preload_dlls()
    session = RecordingSession(PROVIDERS[device])
    binding = IoBinding(
        session,
        sys.modules["onnxruntime"],
        image=(8, 8, 3),
        outputs={"logits": 3, "scores": 2},
        max_batch=6,
        device=device,
    )
    plain = ort.InferenceSession(graph(), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    # Descending as well: the rest of a larger batch must not show.
    for count in (6, 5, 3, 1, 2, 4):
        images = random.integers(0, 256, (count, 8, 8, 3), np.uint8)
        outputs = plain.run(["logits", "scores"], {"images": images})
        for received, expected in zip(binding.run(images), outputs, strict=True):
            np.testing.assert_allclose(received, expected, rtol=1e-5 if device == "cuda" else 0)
    assert session.sizes == ["6", "6", "4", "1", "2", "4"]
