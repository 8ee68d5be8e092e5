"""ONNX Runtime: a verified graph to a function from pixels to logits and scores."""

import logging
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import onnxruntime as ort
from loky import cpu_count
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states

from oodguard.models.errors import BundleError
from oodguard.models.manifest import Manifest
from oodguard.service.inference.io_binding import IoBinding, buckets
from oodguard.service.inference.providers import (
    CPU,
    CUDA,
    Asked,
    Device,
    asked,
    check,
    without_graphs,
)

logger = logging.getLogger("oodguard.engine")

VERSION: str = ort.__version__

REFUSALS = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NoSuchFile,
    states.NotImplemented,
    states.RuntimeException,
)

# A runtime's log line is no JSON; what goes wrong is raised as well.
ERRORS_ONLY = 3

Outputs: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]


class ModelSession:
    """One session of one graph, which may be run from `runs` threads at a time.

    Args:
        model: The bytes of model.onnx, as verified.
        manifest: What the bundle says of its graph.
        device: Where to run; what it really got is in `providers`.
        threads: Processors for all runs together; 0 for those that this process may use.
        threads_per_run: Threads of one run.
        max_batch: Most images in one run; more are split.

    Attributes:
        providers: Where the session really runs, the first choice first.
        threads: Threads of one run.
        runs: How many runs there may be at a time: on a device one, which takes all of it.
        max_batch: Most images in one run.
        any_thread: Whether threads that are not its own may run it too.

    Raises:
        BundleError: The runtime refuses the graph, or it is not the one the manifest describes.
        DeviceError: The device was asked for by name and is not there.
    """

    def __init__(  # noqa: PLR0913 - by keyword, each a setting
        self,
        model: bytes,
        manifest: Manifest,
        *,
        device: Device,
        threads: int,
        threads_per_run: int,
        max_batch: int,
    ) -> None:
        processors = threads or cpu_count()
        self.threads = min(threads_per_run, processors)
        self.max_batch = max_batch
        self._manifest = manifest
        self._session = _open(model, device, self.threads)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        spec = manifest.input
        self._image = (spec.height, spec.width, 3)
        _check(self._session.get_inputs(), {"images": ("uint8", self._image)})
        _check(self._session.get_outputs(), {name: ("float", (n,)) for name, n in self._outputs()})
        # On the processor a run takes any number of images at no loss, and has nothing to copy.
        self._bound = None if self.providers[0] == CPU else self._bind()
        self.runs = 1 if self._bound else max(1, processors // self.threads)
        # What a device has recorded, it may have recorded for one thread.
        self.any_thread = self._bound is None

    def run(self, images: NDArray[np.uint8]) -> Outputs:
        """Run `(n, H, W, 3)` images to logits `(n, K)` and scores `(n, S)`."""
        if len(images) <= self.max_batch:
            return self._run(images)
        starts = range(0, len(images), self.max_batch)
        runs = [self._run(images[start : start + self.max_batch]) for start in starts]
        return np.concatenate([logits for logits, _ in runs]), np.concatenate([s for _, s in runs])

    def warm_up(self) -> None:
        """Run every size of batch that is set up apart once, so that no request pays for it.

        Raises:
            BundleError: The graph does not run, or answers in another shape than it declares.
        """
        sizes = buckets(self.max_batch) if self._bound else sorted({1, self.max_batch})
        for n in sizes:
            images = np.zeros((n, *self._image), np.uint8)
            try:
                outputs = self._run(images)
            except REFUSALS as error:
                raise BundleError(f"model.onnx does not run on {n} images: {error}") from error
            for output, (name, width) in zip(outputs, self._outputs(), strict=True):
                if output.shape != (n, width):
                    raise BundleError(
                        f"model.onnx answers {name} of shape {output.shape} to {n} images; "
                        f"({n}, {width}) is wanted; export the bundle again"
                    )

    def _outputs(self) -> tuple[tuple[str, int], ...]:
        return ("logits", len(self._manifest.classes)), ("scores", len(self._manifest.scores))

    def _bind(self) -> IoBinding:
        return IoBinding(
            self._session,
            ort,
            image=self._image,
            outputs=dict(self._outputs()),
            max_batch=self.max_batch,
        )

    def _run(self, images: NDArray[np.uint8]) -> Outputs:
        if self._bound:
            return self._bound.run(images)
        logits, scores = self._session.run(["logits", "scores"], {"images": images})
        return logits, scores


def _open(model: bytes, device: Device, threads: int) -> ort.InferenceSession:
    available = ort.get_available_providers()
    wanted = asked(device, available)
    if wanted[0][0] != CPU:
        # Finds the CUDA libraries that came as Python packages.
        ort.preload_dlls()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # Spinning buys microseconds and costs whole cores between requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = _session(model, options, wanted)
    got = session.get_providers()
    check(device, wanted, got)
    if got[0] == CPU and CUDA in available:
        logger.warning("CUDA was there to be tried and is not usable; the model runs on the CPU")
    return session


def _session(model: bytes, options: ort.SessionOptions, wanted: Asked) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(model, options, providers=wanted)
    except REFUSALS as error:
        plain = without_graphs(wanted)
        if plain != wanted:
            # A graph with a step that stays on the CPU cannot be recorded, and runs all the same.
            logger.warning("no CUDA graphs for this model: %s", error)
            return _session(model, options, plain)
        raise BundleError(
            f"model.onnx is refused by ONNX Runtime {VERSION}: {error}; export the bundle again"
        ) from error


def _check(nodes: Sequence[ort.NodeArg], wanted: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    """Compare what a graph declares with names, types and trailing dimensions."""
    names = {node.name for node in nodes}
    if names != set(wanted):
        raise BundleError(f"model.onnx has {sorted(names)}; {sorted(wanted)} is wanted")
    for node in nodes:
        kind, trailing = wanted[node.name]
        if node.type != f"tensor({kind})" or not _fits(node.shape, trailing):
            raise BundleError(
                f"model.onnx declares {node.name} as {node.type} {node.shape}; "
                f"tensor({kind}) {['n', *trailing]} with n free is wanted; export the bundle again"
            )


def _fits(shape: Sequence[int | str | None], trailing: tuple[int, ...]) -> bool:
    """A free first dimension, then the wanted ones; a dimension left open is checked by a run."""
    if len(shape) != len(trailing) + 1 or isinstance(shape[0], int):
        return False
    return all(
        came == want
        for came, want in zip(shape[1:], trailing, strict=True)
        if isinstance(came, int)
    )
