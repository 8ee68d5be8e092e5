"""Runs on a device: buffers that stay where they are, one set for each size of batch.

A batch is filled up to the next size, so that a device meets few shapes, each of them warmed up
(and, with CUDA graphs, recorded) before the first request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEVICE = "cuda"


def buckets(max_batch: int) -> list[int]:
    """Return the sizes of batch: 1, 2, 4, ... and `max_batch` itself, ascending."""
    powers = (1 << power for power in range(max_batch.bit_length()))
    return sorted({*(size for size in powers if size < max_batch), max_batch})


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundBuffers:
    """One size of batch: its buffers, and what binds them to the session.

    `staging` is the host's copy `(size, H, W, 3)` of the input; `images` and `outputs` live on the
    device and keep their addresses, which a recorded CUDA graph relies on.
    """

    staging: NDArray[np.uint8]
    images: Any
    outputs: tuple[Any, ...]
    binding: Any
    options: Any


class IoBinding:
    """Batches run through bound buffers.

    Args:
        session: An `onnxruntime.InferenceSession` on the device.
        runtime: The module `onnxruntime`, or what has its `OrtValue` and `RunOptions`.
        image: `(H, W, 3)` of one image.
        outputs: Name to width of each output, in the order in which `run` returns them.
        max_batch: Most images in one run.
    """

    def __init__(
        self,
        session: Any,  # noqa: ANN401
        runtime: Any,  # noqa: ANN401
        *,
        image: tuple[int, int, int],
        outputs: Mapping[str, int],
        max_batch: int,
    ) -> None:
        self._session = session
        self._runtime = runtime
        self._image = image
        self._outputs = outputs
        self._sizes = buckets(max_batch)
        self._bound = {size: self._bind(size) for size in self._sizes}

    def run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run at most `max_batch` images; see `service.inference.engine.Engine.run`."""
        count = len(images)
        bound = self._bound[next(size for size in self._sizes if size >= count)]
        bound.staging[:count] = images
        bound.images.update_inplace(bound.staging)
        self._session.run_with_iobinding(bound.binding, bound.options)
        logits, scores = (output.numpy()[:count] for output in bound.outputs)
        return logits, scores

    def _bind(self, size: int) -> BoundBuffers:
        staging = np.zeros((size, *self._image), np.uint8)
        images = self._runtime.OrtValue.ortvalue_from_numpy(staging, DEVICE, 0)
        outputs = {
            name: self._runtime.OrtValue.ortvalue_from_shape_and_type(
                (size, width), np.float32, DEVICE, 0
            )
            for name, width in self._outputs.items()
        }
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("images", images)
        for name, output in outputs.items():
            binding.bind_ortvalue_output(name, output)
        options = self._runtime.RunOptions()
        # A CUDA graph is of one shape; each size records its own.
        options.add_run_config_entry("gpu_graph_id", str(size))
        return BoundBuffers(
            staging=staging,
            images=images,
            outputs=tuple(outputs.values()),
            binding=binding,
            options=options,
        )
