"""Make a bundle of an existing ONNX classifier and labelled held-out images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.models.bundle import check_replaceable, write_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration import images_required
from oodguard.models.decision import Policy, threshold
from oodguard.models.errors import CalibrationError
from oodguard.models.manifest import DataRecord, Description, InputSpec, TrainingRecord
from oodguard.training.config.sources import Source
from oodguard.training.data.dataset import ImageSet, load
from oodguard.training.provenance import command, hardware, libraries
from oodguard.training.report.metrics import auroc, false_rejection_rate, missed_ood_rate
from oodguard.training.scoring.parity import Parity, in_batches
from oodguard.training.wrap.agreement import BATCH_SIZES, check_agreement
from oodguard.training.wrap.classifier import OriginalClassifier
from oodguard.training.wrap.graph import merge, merged_run, original_outputs
from oodguard.training.wrap.input import PixelTransform
from oodguard.training.wrap.output import (
    DESCRIPTIONS,
    OutputKind,
    check_output_kind,
    labels_of_outputs,
    output_scores_graph,
)
from oodguard.training.wrap.report import (
    CleanResult,
    ScoreFigures,
    WrapReport,
    write_wrapped_card,
)

AGREEMENT_IMAGES = 200
SEED = 0

Columns = dict[str, NDArray[np.float32]]
"""Values `(n,)` by score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrapOptions:
    """The bundle's name, version, input and policy, and the classifier's preprocessing and outputs.

    `classes` are the names in the order of the outputs; None: those of the data.
    """

    name: str
    version: str
    spec: InputSpec
    transform: PixelTransform
    outputs: OutputKind
    classes: tuple[str, ...] | None
    policy: Policy


def wrap(  # noqa: PLR0913  (by keyword)
    original: OriginalClassifier,
    options: WrapOptions,
    *,
    data: Source,
    outliers: Mapping[str, Source],
    out: Path,
    stage: Callable[[str], None],
    log: Callable[[str], None],
) -> tuple[WrapReport, Parity]:
    """Write the bundle of a wrapped classifier; return its figures and the comparison.

    One half of the images sets the threshold, the other is used for the figures.

    `data` are labelled images that the classifier was not trained on, `outliers` are other images
    by name, for the figures. `stage` is called with the name of each stage, `log` with a line for
    each data set that was read.

    Raises:
        ClassifierError: The classifier cannot be wrapped, or does not match the options.
        RecipeError: Images cannot be read.
        CalibrationError: There are too few images for the policy.
        ParityError: The wrapped graph has other outputs than the classifier; nothing is written.
        BundleError: `out` cannot be replaced.
    """
    check_replaceable(out)
    images_read: list[str] = []

    def read(source: Source, *, labelled: bool = False) -> ImageSet:
        stage(f"reading {source.name}")
        found = load(source, options.spec, labelled=labelled)
        log(f"Read {found}.")
        images_read.append(str(found))
        return found

    images = read(data, labelled=True)
    _check_calibration(images, options.policy)
    subset = images.images[:AGREEMENT_IMAGES].numpy()
    stage("running the original classifier")
    raw = original_outputs(original, options.transform)(subset)
    check_output_kind(raw, options.outputs)
    classes = options.classes or images.classes
    images = replace(images, labels=labels_of_outputs(classes, images, outputs=raw.shape[1]))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))
    half = len(images) // 2
    scores = output_scores_graph(options.outputs, classes=raw.shape[1])
    model = merge(options.transform.graph(), original, scores)
    stage("comparing the wrapped classifier with the original")
    run = merged_run(model)
    agreement = check_agreement(raw, run, subset, options.outputs)
    stage("calibrating")
    names = options.outputs.scores
    _, calibration = _predict(run, images.subset(order[:half]), names)
    stage("measuring")
    test = images.subset(order[half:])
    predicted, inside = _predict(run, test, names)
    outside = {key: _predict(run, read(source), names)[1] for key, source in outliers.items()}
    policy = options.policy
    report = WrapReport(
        score=policy.score,
        alpha=policy.alpha,
        delta=policy.delta,
        pixels=str(options.transform),
        outputs=DESCRIPTIONS[options.outputs],
        images_read=tuple(images_read),
        calibration_images=half,
        accuracy=float((predicted == test.labels.numpy()).mean()),
        accuracy_images=len(test),
        chance=1 / len(classes),
        scores={name: _figures(name, policy, calibration, inside, outside) for name in names},
        hardware=hardware(),
        command=command(),
    )
    description = _describe(original, options, classes)
    write_bundle(
        out,
        description=description,
        model=model.SerializeToString(),
        calibration=calibration,
        evaluation=report.model_dump(mode="json"),
        card=write_wrapped_card(description, report),
    )
    return report, agreement


def _check_calibration(images: ImageSet, policy: Policy) -> None:
    """Check that half of the images is enough for the threshold of the policy."""
    half, required = len(images) // 2, images_required(policy.alpha, policy.delta)
    if half < required:
        raise CalibrationError(
            f"{images.name}: {half} of the {len(images)} images calibrate, expected at least"
            f" {required} for alpha {policy.alpha} with delta {policy.delta}. Give at least"
            f" {2 * required} images (--data, --images), or a larger --alpha or --delta"
        )


def _predict(
    run: RunGraph, images: ImageSet, names: Sequence[str]
) -> tuple[NDArray[np.int64], Columns]:
    """Return predicted classes `(n,)` and scores, in the largest batches that were compared."""
    logits, scores = in_batches(run, images.images.numpy(), BATCH_SIZES[-1])
    return logits.argmax(axis=1), {name: scores[:, k] for k, name in enumerate(names)}


def _figures(
    name: str,
    policy: Policy,
    calibration: Columns,
    inside: Columns,
    outside: Mapping[str, Columns],
) -> ScoreFigures:
    limit = threshold(np.sort(calibration[name]), policy)
    return ScoreFigures(
        threshold=limit,
        false_rejection_rate=false_rejection_rate(inside[name], limit),
        sets={
            key: CleanResult(
                images=len(columns[name]),
                auroc=auroc(inside[name], columns[name]),
                missed_ood_rate=missed_ood_rate(columns[name], limit),
            )
            for key, columns in outside.items()
        },
    )


def _describe(
    original: OriginalClassifier, options: WrapOptions, classes: tuple[str, ...]
) -> Description:
    return Description(
        schema_version=options.spec.schema_version,
        name=options.name,
        version=options.version,
        created=datetime.now(UTC),
        classes=classes,
        input=options.spec,
        scores=options.outputs.scores,
        default_score=options.policy.score,
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
