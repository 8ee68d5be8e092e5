"""I/O binding: input and output buffers on the device, one set for each batch size.

A batch is padded to the next size, so that the device runs few shapes. Each of them is warmed up,
and with CUDA graphs recorded, before the first request. It is used on CUDA and TensorRT only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def batch_sizes(max_batch: int) -> list[int]:
    """Return the batch sizes 1, 2, 4, ... and `max_batch` itself, ascending."""
    powers = (1 << power for power in range(max_batch.bit_length()))
    return sorted({*(size for size in powers if size < max_batch), max_batch})


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundBuffers:
    """The buffers of one batch size, and their binding to the session.

    `staging` is the input `(size, H, W, 3)` in host memory. `images` and `outputs` are on the
    device and keep their addresses, which a recorded CUDA graph relies on.
    """

    staging: NDArray[np.uint8]
    images: Any
    outputs: tuple[Any, ...]
    binding: Any
    options: Any


class IoBinding:
    """Run batches through bound buffers.

    Args:
        session: An `onnxruntime.InferenceSession` on the device.
        runtime: The module `onnxruntime`.
        image: `(H, W, 3)` of one image.
        outputs: The width of each output by name, in the order in which `run` returns them.
        max_batch: Maximum number of images in one run.
        device: The device of the buffers.
    """

    def __init__(  # noqa: PLR0913 - the graph and the device, mostly by keyword
        self,
        session: Any,  # noqa: ANN401
        runtime: Any,  # noqa: ANN401
        *,
        image: tuple[int, int, int],
        outputs: Mapping[str, int],
        max_batch: int,
        device: str = "cuda",
    ) -> None:
        self._session = session
        self._runtime = runtime
        self._image = image
        self._device = device
        self._outputs = outputs
        self._buffers = {size: self._bind(size) for size in batch_sizes(max_batch)}

    def run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run at most `max_batch` images; see `ModelSession.run`."""
        count = len(images)
        # The sizes are in ascending order.
        buffers = self._buffers[next(size for size in self._buffers if size >= count)]
        buffers.staging[:count] = images
        buffers.images.update_inplace(buffers.staging)
        self._session.run_with_iobinding(buffers.binding, buffers.options)
        logits, scores = (output.numpy()[:count] for output in buffers.outputs)
        return logits, scores

    def _bind(self, size: int) -> BoundBuffers:
        staging = np.zeros((size, *self._image), np.uint8)
        images = self._runtime.OrtValue.ortvalue_from_numpy(staging, self._device, 0)
        outputs = {
            name: self._runtime.OrtValue.ortvalue_from_shape_and_type(
                (size, width), np.float32, self._device, 0
            )
            for name, width in self._outputs.items()
        }
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("images", images)
        for name, output in outputs.items():
            binding.bind_ortvalue_output(name, output)
        options = self._runtime.RunOptions()
        # A CUDA graph has one shape; each size records its own.
        options.add_run_config_entry("gpu_graph_id", str(size))
        return BoundBuffers(
            staging=staging,
            images=images,
            outputs=tuple(outputs.values()),
            binding=binding,
            options=options,
        )
