"""ONNX Runtime sessions: from the verified bytes of a graph to a function of pixels."""

import logging
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import onnxruntime as ort
from loky import cpu_count
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states

from oodguard.models.errors import BundleError
from oodguard.models.manifest import Manifest
from oodguard.service.inference.io_binding import IoBinding, batch_sizes
from oodguard.service.inference.providers import (
    CPU,
    CUDA,
    Device,
    Providers,
    check_fallback,
    requested_providers,
    without_cuda_graphs,
)
from oodguard.service.memory import resident_bytes

logger = logging.getLogger("oodguard.engine")

VERSION: str = ort.__version__

RUNTIME_ERRORS = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NoSuchFile,
    states.NotImplemented,
    states.RuntimeException,
)

# The runtime's log lines are not JSON. Its errors are raised as well.
LOG_ERRORS_ONLY = 3

Outputs: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]

TensorType: TypeAlias = tuple[str, tuple[int, ...]]
"""The element type of a tensor, and its dimensions after the batch dimension."""


class ModelSession:
    """One ONNX Runtime session, which `runs` threads may run at a time.

    Args:
        model: The verified bytes of model.onnx.
        manifest: The bundle's description of the graph.
        device: The configured device.
        threads: CPUs for all runs together; 0: the CPUs that are available to this process.
        threads_per_run: Threads of one run.
        max_batch: Maximum number of images in one run; larger arrays are split.

    Attributes:
        manifest: The manifest.
        spec: The size of the images, and the rule for others.
        providers: The providers that the session uses, in order of preference.
        threads: Threads of one run.
        runs: Maximum number of concurrent runs; one on a device, which it uses fully.
        max_batch: Maximum number of images in one run.
        any_thread: Whether threads other than the batcher's may run it, too.
        load_bytes: Memory of the model's bytes and of the session before its first run.
        run_bytes: Memory that the runs of the warm-up allocated and keep.

    Raises:
        BundleError: ONNX Runtime rejects the graph, or it does not match the manifest.
        DeviceError: The configured device is not available.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, each a setting
        self,
        model: bytes,
        manifest: Manifest,
        *,
        device: Device,
        threads: int,
        threads_per_run: int,
        max_batch: int,
    ) -> None:
        cpus = threads or cpu_count()
        self.threads = min(threads_per_run, cpus)
        self.max_batch = max_batch
        before = resident_bytes()
        self._session = _open(model, device, self.threads)
        self.load_bytes = len(model) + max(0, resident_bytes() - before)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        self.manifest = manifest
        self.spec = manifest.input
        self._image = (manifest.input.height, manifest.input.width, 3)
        self._outputs = {"logits": len(manifest.classes), "scores": len(manifest.scores)}
        _check_tensors(self._session.get_inputs(), {"images": ("uint8", self._image)})
        outputs = {name: ("float", (width,)) for name, width in self._outputs.items()}
        _check_tensors(self._session.get_outputs(), outputs)
        # On the CPU, any batch size runs at full speed, and nothing has to be copied.
        self._io_binding = None
        if self.providers[0] != CPU:
            self._io_binding = IoBinding(
                self._session, ort, image=self._image, outputs=self._outputs, max_batch=max_batch
            )
        self.runs = 1 if self._io_binding else max(1, cpus // self.threads)
        # A device may have recorded a CUDA graph for one thread only.
        self.any_thread = self._io_binding is None
        self.run_bytes = 0

    def run(self, images: NDArray[np.uint8]) -> Outputs:
        """Run `(n, H, W, 3)` images to logits `(n, K)` and scores `(n, S)`."""
        if len(images) <= self.max_batch:
            return self._run(images)
        starts = range(0, len(images), self.max_batch)
        runs = [self._run(images[start : start + self.max_batch]) for start in starts]
        return np.concatenate([logits for logits, _ in runs]), np.concatenate([s for _, s in runs])

    def warm_up(self) -> None:
        """Run every batch size that is prepared separately once, before the first request.

        Raises:
            BundleError: The graph does not run, or its outputs have another shape than declared.
        """
        before = resident_bytes()
        sizes = batch_sizes(self.max_batch) if self._io_binding else sorted({1, self.max_batch})
        for n in sizes:
            images = np.zeros((n, *self._image), np.uint8)
            try:
                outputs = self._run(images)
            except RUNTIME_ERRORS as error:
                raise BundleError(f"model.onnx does not run on {n} images: {error}") from error
            for output, (name, width) in zip(outputs, self._outputs.items(), strict=True):
                if output.shape != (n, width):
                    raise BundleError(
                        f"model.onnx returned {name} of shape {output.shape} for {n} images,"
                        f" expected ({n}, {width}): export the bundle again"
                    )
        self.run_bytes = max(0, resident_bytes() - before)

    def _run(self, images: NDArray[np.uint8]) -> Outputs:
        if self._io_binding:
            return self._io_binding.run(images)
        logits, scores = self._session.run(["logits", "scores"], {"images": images})
        return logits, scores


def _open(model: bytes, device: Device, threads: int) -> ort.InferenceSession:
    available = ort.get_available_providers()
    providers = requested_providers(device, available)
    if providers[0][0] != CPU:
        # Finds the CUDA libraries that are installed as Python packages.
        ort.preload_dlls()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_ERRORS_ONLY
    # Spinning saves microseconds, and uses whole CPUs between requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = _create(model, options, providers)
    used = session.get_providers()
    check_fallback(device, providers, used)
    if used[0] == CPU and CUDA in available:
        logger.warning("CUDA is not usable. The model runs on the CPU.")
    return session


def _create(
    model: bytes, options: ort.SessionOptions, providers: Providers
) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(model, options, providers=providers)
    except RUNTIME_ERRORS as error:
        plain = without_cuda_graphs(providers)
        if plain != providers:
            # A graph with a node that stays on the CPU cannot be recorded, but it can be run.
            fields = {"error": str(error)}
            logger.warning("CUDA graphs are disabled for this model.", extra={"fields": fields})
            return _create(model, options, plain)
        raise BundleError(
            f"ONNX Runtime {VERSION} rejects model.onnx: {error}: export the bundle again"
        ) from error


def _check_tensors(nodes: Sequence[ort.NodeArg], expected: Mapping[str, TensorType]) -> None:
    """Compare the tensors that a graph declares with the expected names, types and shapes."""
    names = {node.name for node in nodes}
    if names != set(expected):
        raise BundleError(
            f"model.onnx declares the tensors {sorted(names)}, expected {sorted(expected)}:"
            " export the bundle again"
        )
    for node in nodes:
        kind, dimensions = expected[node.name]
        if node.type != f"tensor({kind})" or not _fits(node.shape, dimensions):
            raise BundleError(
                f"model.onnx declares {node.name} as {node.type} {node.shape}, expected"
                f" tensor({kind}) {['n', *dimensions]} with a free n: export the bundle again"
            )


def _fits(shape: Sequence[int | str | None], dimensions: Sequence[int]) -> bool:
    """Return whether a shape is a free dimension followed by others, which may be free, too.

    The warm-up checks free dimensions other than the first.
    """
    if len(shape) != len(dimensions) + 1 or isinstance(shape[0], int):
        return False
    return all(
        declared == expected
        for declared, expected in zip(shape[1:], dimensions, strict=True)
        if isinstance(declared, int)
    )
