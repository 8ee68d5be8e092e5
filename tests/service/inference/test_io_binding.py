"""I/O binding, on a fake device that computes the outputs of a real session."""

import sys
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from oodguard.service.inference.io_binding import IoBinding, batch_sizes
from tests.service.graphs import graph


class Value:
    """A buffer on the device, which is written in place."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array.copy()

    @classmethod
    def ortvalue_from_numpy(cls, array: NDArray[Any], device: str, index: int) -> "Value":
        assert (device, index) == ("cuda", 0)
        return cls(array)

    @classmethod
    def ortvalue_from_shape_and_type(
        cls, shape: tuple[int, ...], kind: type, device: str, index: int
    ) -> "Value":
        assert (device, index) == ("cuda", 0)
        return cls(np.full(shape, np.nan, kind))

    def update_inplace(self, array: NDArray[Any]) -> None:
        assert array.shape == self.array.shape
        self.array[...] = array

    def numpy(self) -> NDArray[Any]:
        return self.array.copy()


class Options:
    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_run_config_entry(self, name: str, text: str) -> None:
        self.entries[name] = text


class Binding:
    def __init__(self) -> None:
        self.inputs: dict[str, Value] = {}
        self.outputs: dict[str, Value] = {}

    def bind_ortvalue_input(self, name: str, value: Value) -> None:
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: Value) -> None:
        self.outputs[name] = value


class Session:
    """A real CPU session behind bound buffers."""

    def __init__(self) -> None:
        self._real = ort.InferenceSession(graph(), providers=["CPUExecutionProvider"])
        self.sizes: list[int] = []

    def io_binding(self) -> Binding:
        return Binding()

    def run_with_iobinding(self, binding: Binding, options: Options) -> None:
        images = binding.inputs["images"].array
        assert options.entries == {"gpu_graph_id": str(len(images))}
        self.sizes.append(len(images))
        names = list(binding.outputs)
        for name, output in zip(names, self._real.run(names, {"images": images}), strict=True):
            binding.outputs[name].update_inplace(output)


class Runtime:
    OrtValue = Value
    RunOptions = Options


@pytest.mark.parametrize(
    ("max_batch", "sizes"),
    [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8]), (9, [1, 2, 4, 8, 9])],
)
def test_batch_sizes_double_up_to_max_batch(max_batch: int, sizes: list[int]) -> None:
    assert batch_sizes(max_batch) == sizes


def test_io_binding_pads_batches_and_returns_the_outputs_of_a_plain_session() -> None:
    session = Session()
    runs = IoBinding(
        session, Runtime, image=(8, 8, 3), outputs={"logits": 3, "scores": 2}, max_batch=6
    )
    plain = ort.InferenceSession(graph(), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    # Descending as well: the rest of a larger batch must not show.
    for count in (6, 5, 3, 1, 2, 4):
        images = random.integers(0, 256, (count, 8, 8, 3), np.uint8)
        logits, scores = runs.run(images)
        expected = plain.run(["logits", "scores"], {"images": images})
        np.testing.assert_array_equal(logits, expected[0])
        np.testing.assert_array_equal(scores, expected[1])
    assert session.sizes == [6, 6, 4, 1, 2, 4]


@pytest.mark.skipif(
    "CUDAExecutionProvider" not in ort.get_available_providers(), reason="no CUDA runtime"
)
def test_io_binding_on_cuda_returns_the_outputs_of_the_cpu() -> None:
    ort.preload_dlls()
    session = ort.InferenceSession(graph(), providers=["CUDAExecutionProvider"])
    runs = IoBinding(
        session,
        sys.modules["onnxruntime"],
        image=(8, 8, 3),
        outputs={"logits": 3, "scores": 2},
        max_batch=4,
    )
    plain = ort.InferenceSession(graph(), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 3), np.uint8)
    for received, expected in zip(
        runs.run(images), plain.run(["logits", "scores"], {"images": images}), strict=True
    ):
        np.testing.assert_allclose(received, expected, rtol=1e-5)
