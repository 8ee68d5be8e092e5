"""ONNX Runtime: a verified graph to a function from pixels to logits and scores."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states

from models.errors import BundleError
from models.manifest import Manifest
from service.cpus import available_cpus

PREFERRED = ("CUDAExecutionProvider", "CPUExecutionProvider")

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


class Engine:
    """One session of one graph. Not to be run from two threads at a time.

    Args:
        model: The bytes of model.onnx, as verified.
        manifest: What the bundle says of its graph.
        threads: Threads of one run; 0 for the processors this process may use.
        max_batch: Most images in one run; more are split.

    Attributes:
        providers: Where the session really runs, the first choice first.
        threads: Threads of one run.

    Raises:
        BundleError: The runtime refuses the graph, or it is not the one the manifest describes.
    """

    def __init__(self, model: bytes, manifest: Manifest, *, threads: int, max_batch: int) -> None:
        self.threads = threads or available_cpus()
        self._max_batch = max_batch
        self._manifest = manifest
        self._session = _open(model, self.threads)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        spec = manifest.input
        _check(self._session.get_inputs(), {"images": ("uint8", (spec.height, spec.width, 3))})
        _check(self._session.get_outputs(), {name: ("float", (n,)) for name, n in self._outputs()})

    def run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run `(n, H, W, 3)` images to logits `(n, K)` and scores `(n, S)`."""
        if len(images) <= self._max_batch:
            return self._run(images)
        starts = range(0, len(images), self._max_batch)
        runs = [self._run(images[start : start + self._max_batch]) for start in starts]
        return np.concatenate([logits for logits, _ in runs]), np.concatenate([s for _, s in runs])

    def warm_up(self) -> None:
        """Run the smallest and the largest batch once, so that no request pays for set-up.

        Raises:
            BundleError: The graph does not run, or answers in another shape than it declares.
        """
        spec = self._manifest.input
        for n in sorted({1, self._max_batch}):
            images = np.zeros((n, spec.height, spec.width, 3), np.uint8)
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

    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, scores = self._session.run(["logits", "scores"], {"images": images})
        return logits, scores


def _open(model: bytes, threads: int) -> ort.InferenceSession:
    available = ort.get_available_providers()
    if "CUDAExecutionProvider" in available:
        # Finds the CUDA libraries that came as Python packages.
        ort.preload_dlls()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # Spinning buys microseconds and costs whole cores between requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = [provider for provider in PREFERRED if provider in available]
    try:
        return ort.InferenceSession(model, options, providers=providers)
    except REFUSALS as error:
        raise BundleError(
            f"model.onnx is refused by ONNX Runtime {ort.__version__}: {error}; "
            "export the bundle again"
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
