"""From an ONNX classifier and held-out images to a bundle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle, write_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.decision import Policy
from oodguard.models.errors import ParityError
from oodguard.models.manifest import DataRecord, Description, InputSpec, TrainingRecord
from oodguard.training.config.sources import Source
from oodguard.training.data.dataset import load
from oodguard.training.provenance import command, hardware, libraries
from oodguard.training.scoring.parity import in_batches
from oodguard.training.wrap.classifier import OriginalClassifier
from oodguard.training.wrap.graph import Images, merge, merged_run, original_outputs
from oodguard.training.wrap.input import PixelTransform, with_dynamic_batch
from oodguard.training.wrap.output import (
    MEANING,
    OutputKind,
    OutputScores,
    check_output_kind,
    labels_of_outputs,
    output_scores_graph,
)
from oodguard.training.wrap.report import (
    Columns,
    HeldOutHalves,
    WrapReport,
    predict,
    score_figures,
    write_wrapped_card,
)

TOLERANCE = 1e-4

BATCH_SIZES = (1, 2, 7, 64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """What the gate saw: images compared, and the largest difference of an output or score.

    Differences are shares of the largest one where that is above 1.
    """

    images: int
    largest_difference: float


def check_agreement(
    raw: NDArray[np.float32], wrapped: RunGraph, images: Images, outputs: OutputKind
) -> Agreement:
    """Compare the classifier's own answers `(n, K)` with the wrapped graph's, in several batches.

    The expected scores are those of the torch functions on the classifier's own answers.

    Raises:
        ParityError: a logit or score differs by more than 1e-4 of the largest, or a class differs.
    """
    with torch.no_grad():
        logits, scores = (each.numpy() for each in OutputScores(outputs)(torch.from_numpy(raw)))
    clear = _clear(logits)
    largest = 0.0
    for size in BATCH_SIZES:
        found_logits, found_scores = in_batches(wrapped, images, size)
        for what, expected, found in (
            ("outputs", raw, _as_raw(found_logits, outputs)),
            ("scores", scores, found_scores),
        ):
            difference = _difference(found, expected)
            if not difference <= TOLERANCE:
                raise ParityError(_refusal(what, difference, size))
            largest = max(largest, difference)
        if (found_logits.argmax(axis=1) != logits.argmax(axis=1))[clear].any():
            raise ParityError(_refusal("classes", 1.0, size))
    return Agreement(images=len(images), largest_difference=largest)


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max()) / _scale(expected)


def _scale(values: NDArray[np.float32]) -> float:
    return max(1.0, float(np.abs(values).max()))


def _clear(logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say for which images the class does not hang on rounding."""
    second, first = np.sort(logits, axis=1)[:, -2:].T
    return np.asarray(first - second > 2 * TOLERANCE * _scale(logits))


def _as_raw(logits: NDArray[np.float32], outputs: OutputKind) -> NDArray[np.float32]:
    # The logarithm of a probability of 1e-30 is not known to 1e-4, and nobody needs it to be.
    return np.exp(logits) if outputs is OutputKind.PROBABILITIES else logits


def _refusal(what: str, difference: float, size: int) -> str:
    return (
        f"the {what} of the wrapped classifier differ from the original's by {difference:.2g} in"
        f" batches of {size}; at most {TOLERANCE:g} is wanted. A classifier of a fixed batch size"
        " or one whose answer depends on the other images of a batch (dynamic quantisation,"
        " batch-norm in training mode), cannot be wrapped: export it anew, in evaluation mode,"
        " with a free batch dimension"
    )


AGREEMENT_IMAGES = 200

SEED = 0

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class WrapOptions:
    """What the bundle is to be: its name, its pixels' rule, its classes, its policy."""

    name: str
    version: str
    spec: InputSpec
    pixels: PixelTransform
    outputs: OutputKind
    classes: tuple[str, ...] | None
    policy: Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class WrapResult:
    """A bundle that was written, its figures, and what the gate saw."""

    bundle: Bundle
    report: WrapReport
    agreement: Agreement


def wrap(  # noqa: PLR0913  (by keyword)
    original: OriginalClassifier,
    wish: WrapOptions,
    *,
    data: Source,
    outliers: Mapping[str, Source],
    out: Path,
    tell: Tell,
) -> WrapResult:
    """Write the bundle of a wrapped classifier to `out`; `tell` hears what is being done.

    Raises:
        ClassifierError: the classifier cannot be wrapped, or is not as it is said to be.
        RecipeError: the images cannot be read.
        CalibrationError: too few images for the policy.
        ParityError: the wrapped graph answers otherwise than the classifier; nothing is written.
        BundleError: `out` cannot be replaced.
    """
    tell(f"reading {data.name}")
    images = load(data, wish.spec)
    few = images.images[:AGREEMENT_IMAGES].numpy()
    tell("running the classifier as it came")
    raw = original_outputs(original, wish.pixels)(few)
    check_output_kind(raw, wish.outputs)
    classes = wish.classes or images.classes
    halves = HeldOutHalves.of(
        images, labels_of_outputs(classes, images, outputs=raw.shape[1]), seed=SEED
    )
    free, scores = (
        with_dynamic_batch(original),
        output_scores_graph(wish.outputs, classes=raw.shape[1]),
    )
    model = merge(wish.pixels.graph(), original, free, scores)
    tell("comparing the wrapped classifier with it")
    run = merged_run(model)
    agreement = check_agreement(raw, run, few, wish.outputs)
    tell("calibrating")
    _, calibration = predict(run, halves.calibration, wish.outputs.scores)
    report = _report(run, wish, classes, halves, calibration, outliers, tell)
    description = _describe(original, wish, classes)
    bundle = write_bundle(
        out,
        description=description,
        model=_serialised(model),
        calibration=calibration,
        evaluation=report.model_dump(mode="json"),
        card=write_wrapped_card(description, report),
    )
    return WrapResult(bundle=bundle, report=report, agreement=agreement)


def _report(  # noqa: PLR0913  (what a report is made of)
    run: RunGraph,
    wish: WrapOptions,
    classes: tuple[str, ...],
    halves: HeldOutHalves,
    calibration: Columns,
    outliers: Mapping[str, Source],
    tell: Tell,
) -> WrapReport:
    names, policy = wish.outputs.scores, wish.policy
    tell("measuring the other half")
    predicted, inside = predict(run, halves.test, names)
    outside = {}
    for key, source in outliers.items():
        tell(f"measuring {key}")
        _, outside[key] = predict(run, load(source, wish.spec), names)
    return WrapReport(
        score=policy.score,
        alpha=policy.alpha,
        delta=policy.delta,
        pixels=str(wish.pixels),
        outputs=MEANING[wish.outputs],
        calibration_images=len(halves.calibration),
        accuracy=float((predicted == halves.test_labels.numpy()).mean()),
        accuracy_images=len(halves.test),
        chance=1 / len(classes),
        scores={
            name: score_figures(
                name, policy=policy, calibration=calibration, inside=inside, outside=outside
            )
            for name in names
        },
        hardware=hardware(),
        command=command(),
    )


def _describe(
    original: OriginalClassifier, wish: WrapOptions, classes: tuple[str, ...]
) -> Description:
    return Description(
        name=wish.name,
        version=wish.version,
        created=datetime.now(UTC),
        classes=classes,
        input=wish.spec,
        scores=wish.outputs.scores,
        default_score=wish.policy.score,
        training=TrainingRecord(
            method="wrapped",
            origin=dict(original.files),
            network=next(iter(original.files)),
            parameters=original.parameters,
            epsilon=0.0,
            attack_steps=0,
            inliers=DataRecord(name="unknown", images=0),
            outliers=None,
            seed=SEED,
            epochs=0,
            duration_s=0.0,
            hardware=hardware(),
            command=command(),
            libraries=libraries(),
        ),
    )


def _serialised(model: onnx.ModelProto) -> bytes:
    serialised: bytes = model.SerializeToString()
    return serialised
