"""Compare torch with ONNX Runtime, and compute calibration scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from oodguard.command_line.progress import counted
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.counts import count_of
from oodguard.models.decision import rejects
from oodguard.models.errors import ParityError, RecipeError
from oodguard.models.qualities import measure
from oodguard.sources.pictures import Size, header_sizes
from oodguard.training.data.dataset import ImageSet
from oodguard.training.scoring.graph import evaluation_batch_size

Images = NDArray[np.uint8]
TOLERANCE = 1e-4
SAME_SCORE = 1e-2
"""The largest difference of a score on two machines, relative above 1."""

BATCH_SIZES = (1, 7, 64, 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """The number of images on which two implementations were compared, and the largest difference.

    For values above 1 the difference is relative, because float32 holds a squared distance of a
    thousand to fewer digits.
    """

    images: int
    largest_difference: float


def check_parity(
    torch_run: RunGraph, onnx_run: RunGraph, images: Images, limits: NDArray[np.float64]
) -> Parity:
    """Compare torch with ONNX Runtime on real images `(n, H, W, 3)`, one by one and in batches.

    `limits` `(S,)` are the rejection thresholds of the score columns.

    Raises:
        ParityError: A score differs by more than 1e-4 (relative above 1), or a class or a decision
            differs.
    """
    logits, scores = in_batches(torch_run, images, evaluation_batch_size(*images.shape[1:3]))
    classes, decisions = logits.argmax(axis=1), rejects(scores, limits)
    largest = 0.0
    for size in BATCH_SIZES:
        onnx_logits, onnx_scores = in_batches(onnx_run, images, size)
        difference = float((np.abs(onnx_scores - scores) / np.maximum(np.abs(scores), 1)).max())
        if not difference <= TOLERANCE:
            raise ParityError(
                f"scores of torch and ONNX Runtime differ by {difference:.2g} in batches of {size},"
                f" expected at most {TOLERANCE:g}"
            )
        _check_equal("class", classes, onnx_logits.argmax(axis=1), size)
        _check_equal("decision", decisions, rejects(onnx_scores, limits), size)
        largest = max(largest, difference)
    return Parity(images=len(images), largest_difference=largest)


def onnx_run(model: bytes) -> RunGraph:
    """Return a serialized model as a function from images to logits and scores, on the CPU."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def run(images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, scores = session.run(["logits", "scores"], {"images": images})
        return logits, scores

    return run


def calibrate(
    run: RunGraph, held_out: ImageSet, scores: Sequence[str], classes: Sequence[str]
) -> CalibrationRows:
    """Return scores, predicted classes, groups, labels and qualities of the held-out images.

    There are labels only if the images have all `classes` of the graph, in the same order.
    """
    images = held_out.images.numpy()
    logits, values = in_batches(run, images, evaluation_batch_size(*images.shape[1:3]))
    return CalibrationRows(
        scores={name: values[:, column] for column, name in enumerate(scores)},
        predicted=logits.argmax(axis=1).astype(np.int32),
        labels=held_out.labels.numpy().astype(np.int32)
        if held_out.classes == tuple(classes)
        else None,
        groups=calibration_groups(held_out),
        qualities=measure(images, _sizes(held_out)),
    )


def _sizes(images: ImageSet) -> list[Size] | None:
    """Return the sizes of the picture files, if they are known."""
    if images.listing is None or images.positions is None:
        return None
    return header_sizes(images.listing, images.positions.numpy())


def calibration_groups(held_out: ImageSet) -> NDArray[np.int32] | None:
    """Return the group `(n,)` of each held-out image, numbers from 0; None without groups."""
    if held_out.groups is None:
        return None
    return np.unique(held_out.groups.numpy(), return_inverse=True)[1].astype(np.int32)


def check_calibration(
    recorded: Mapping[str, NDArray[np.float32]], found: Mapping[str, NDArray[np.float32]]
) -> None:
    """Check that the calibration images of a recipe are those of the bundle, by their scores.

    Raises:
        RecipeError: They are not; trained images may be among them.
    """
    for name, scores in found.items():
        expected = recorded[name]
        if scores.shape != expected.shape or not np.allclose(
            scores, expected, rtol=SAME_SCORE, atol=SAME_SCORE
        ):
            raise RecipeError(
                f"the scores {name} of the {len(scores):,} calibration images of the recipe differ"
                f" from those of the {len(expected):,} in the bundle: its images were changed, and"
                " trained ones may be among them. Restore the images"
            )


def in_batches(
    run: RunGraph, images: Images, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run images `(n, H, W, 3)` in batches of `size`; return logits and scores."""
    advance, parts = counted(len(images)), []
    for start in range(0, len(images), size):
        parts.append(run(images[start : start + size]))
        advance(len(parts[-1][0]))
    logits, scores = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(scores)


def _check_equal(
    what: str, torch: NDArray[np.generic], onnx: NDArray[np.generic], size: int
) -> None:
    differing = np.unique(np.nonzero(torch != onnx)[0])
    if len(differing):
        raise ParityError(
            f"the {what} of torch and ONNX Runtime differs for"
            f" {count_of(len(differing), 'image')} in batches of {size}, expected 0; the"
            f" first is image {differing[0]}"
        )
