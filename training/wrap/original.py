"""Run an original classifier before it is merged, and look at its features."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from oodguard.models.counts import count_of
from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.classifier import OriginalClassifier
from oodguard.training.wrap.features import MAX_FEATURES, Features
from oodguard.training.wrap.input import PixelTransform
from oodguard.training.wrap.runtime import open_session, runtime_errors

Images = NDArray[np.uint8]
Values = NDArray[np.float32]


class RunOriginal(Protocol):
    """The classifier before the merge."""

    def __call__(
        self, images: Images, transform: PixelTransform | None = None
    ) -> tuple[Values, Values | None]:
        """Map images `(n, H, W, 3)` to raw outputs `(n, K)` and, if selected, features `(n, D)`.

        `transform` replaces the preprocessing.
        """


def original_outputs(
    original: OriginalClassifier, transform: PixelTransform, features: Features | None = None
) -> RunOriginal:
    """Return the classifier before the merge, in batches of its own size.

    Numpy preprocesses the images, so that the merged graph can be compared with the result.

    Raises:
        ClassifierError: ONNX Runtime cannot load the classifier, or, when called, cannot run it or
            its outputs do not have the expected shape.
    """
    names = [original.output_name, *([features.tensor] if features else [])]
    session = open_session(_with_outputs(original, names), "the classifier")
    batch, given = original.shape[0] or 1, transform

    def outputs(
        images: Images, transform: PixelTransform | None = None
    ) -> tuple[Values, Values | None]:
        # The last batch is filled up with copies, whose outputs are dropped.
        missing = -len(images) % batch
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        raws, rows = [], []
        for start in range(0, len(filled), batch):
            pixels = (transform or given)(filled[start : start + batch])
            found = _run(session, names, {original.input_name: pixels})
            raws.append(_as_rows(found[0], len(pixels), original.output_name))
            if features:
                rows.append(features.as_rows(found[1]))
        joined = np.concatenate(rows)[: len(images)] if features else None
        return np.concatenate(raws)[: len(images)], joined

    return outputs


def probe_features(
    original: OriginalClassifier, transform: PixelTransform, features: Features, images: Images
) -> tuple[Features, Values | None]:
    """Run the classifier; return its features with their size, and the weights of its last layer.

    Raises:
        ClassifierError: The tensor does not hold features, or too many.
    """
    names = [features.tensor, *([features.weights] if features.weights else [])]
    session = open_session(_with_outputs(original, names), "the classifier with its features")
    pixels = transform(np.resize(images, (original.shape[0] or 1, *images.shape[1:])))
    found, *weights = _run(session, names, {original.input_name: pixels})
    if (
        not isinstance(found, np.ndarray)
        or not 2 <= found.ndim <= 4
        or len(found) != len(pixels)
        or found.dtype.kind not in "fiu"
    ):
        kind = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "no array"
        raise ClassifierError(
            f"--features: {features.tensor} is {kind} for {count_of(len(pixels), 'image')},"
            " expected numbers of shape (n, D), (n, T, D) or (n, D, h, w)"
        )
    size = features.as_rows(found).shape[1]
    if not 2 <= size <= MAX_FEATURES:
        raise ClassifierError(
            f"--features: {features.tensor} has {size:,} values for each image, expected 2 to"
            f" {MAX_FEATURES:,}"
        )
    matrix = np.asarray(weights[0], np.float32) if weights else None
    return replace(features, rank=found.ndim, size=size), matrix


def _run(
    session: onnxruntime.InferenceSession,
    names: Sequence[str],
    inputs: Mapping[str, NDArray[np.generic]],
) -> list[Any]:
    (shape,) = (each.shape for each in inputs.values())
    with runtime_errors(f"the classifier does not run on pixels of shape {shape}"):
        found: list[Any] = session.run(list(names), dict(inputs))
    return found


def _as_rows(found: NDArray[np.generic], images: int, name: str) -> Values:
    """Return an output `(n,)`, `(n, K)` or `(n, K, 1, 1)` as `(n, K)`."""
    shape = found.shape
    if not shape or shape[0] != images or any(size != 1 for size in shape[2:]) or 0 in shape:
        raise ClassifierError(
            f"output {name} has shape {shape} for {count_of(images, 'image')}, expected"
            f" ({images}, classes) or ({images},)"
        )
    return np.asarray(found.reshape(images, -1), np.float32)


def _with_outputs(original: OriginalClassifier, names: Iterable[str]) -> onnx.ModelProto:
    """Return the graph with tensors as outputs; ONNX Runtime infers their types."""
    known = {port.name for port in original.model.graph.output}
    missing = [name for name in names if name not in known]
    if not missing:
        return original.model
    model = onnx.ModelProto()
    model.CopyFrom(original.model)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in missing)
    return model
