"""Make a bundle of an existing ONNX classifier and labelled held-out images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.bundle import Bundle, write_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.decision import Policy, threshold
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
    """Options of wrapping a classifier.

    Attributes:
        name: Name of the bundle.
        version: Version of the bundle.
        spec: Size of the images and how others are resized.
        transform: Preprocessing of the classifier.
        outputs: Kind of its outputs.
        classes: Names of the classes in the order of the outputs; None: those of the data.
        policy: The score that decides, and its threshold.
    """

    name: str
    version: str
    spec: InputSpec
    transform: PixelTransform
    outputs: OutputKind
    classes: tuple[str, ...] | None
    policy: Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class WrapResult:
    """The bundle that was written, its figures, and the comparison with the original."""

    bundle: Bundle
    report: WrapReport
    agreement: Parity


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutHalves:
    """Held-out images: one half sets the threshold, the other is used for the figures."""

    calibration: ImageSet
    test: ImageSet
    test_labels: Tensor

    @classmethod
    def split(cls, images: ImageSet, labels: Tensor, *, seed: int) -> Self:
        """Split at random; of an odd number the test half is the larger."""
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        half = len(images) // 2
        return cls(
            calibration=images.subset(order[:half]),
            test=images.subset(order[half:]),
            test_labels=labels[order[half:]],
        )


def wrap(  # noqa: PLR0913  (by keyword)
    original: OriginalClassifier,
    options: WrapOptions,
    *,
    data: Source,
    outliers: Mapping[str, Source],
    out: Path,
    stage: Callable[[str], None],
) -> WrapResult:
    """Write the bundle of a wrapped classifier.

    Args:
        original: The classifier.
        options: Options of the bundle.
        data: Labelled images that the classifier was not trained on.
        outliers: Out-of-distribution images by name, for the figures.
        out: Folder of the bundle.
        stage: Called with the name of each stage.

    Raises:
        ClassifierError: The classifier cannot be wrapped, or does not match the options.
        RecipeError: Images cannot be read.
        CalibrationError: There are too few images for the policy.
        ParityError: The wrapped graph has other outputs than the classifier; nothing is written.
        BundleError: `out` cannot be replaced.
    """
    stage(f"reading {data.name}")
    images = load(data, options.spec)
    subset = images.images[:AGREEMENT_IMAGES].numpy()
    stage("running the original classifier")
    raw = original_outputs(original, options.transform)(subset)
    check_output_kind(raw, options.outputs)
    classes = options.classes or images.classes
    labels = labels_of_outputs(classes, images, outputs=raw.shape[1])
    halves = HeldOutHalves.split(images, labels, seed=SEED)
    scores = output_scores_graph(options.outputs, classes=raw.shape[1])
    model = merge(options.transform.graph(), original, scores)
    stage("comparing the wrapped classifier with the original")
    run = merged_run(model)
    agreement = check_agreement(raw, run, subset, options.outputs)
    stage("calibrating")
    _, calibration = _predict(run, halves.calibration, options.outputs.scores)
    report = _measure(run, options, classes, halves, calibration, outliers, stage)
    description = _describe(original, options, classes)
    bundle = write_bundle(
        out,
        description=description,
        model=model.SerializeToString(),
        calibration=calibration,
        evaluation=report.model_dump(mode="json"),
        card=write_wrapped_card(description, report),
    )
    return WrapResult(bundle=bundle, report=report, agreement=agreement)


def _predict(
    run: RunGraph, images: ImageSet, names: Sequence[str]
) -> tuple[NDArray[np.int64], Columns]:
    """Return predicted classes `(n,)` and scores, in the largest batches that were compared."""
    logits, scores = in_batches(run, images.images.numpy(), BATCH_SIZES[-1])
    return logits.argmax(axis=1), {name: scores[:, k] for k, name in enumerate(names)}


def _measure(  # noqa: PLR0913  (what a report consists of)
    run: RunGraph,
    options: WrapOptions,
    classes: tuple[str, ...],
    halves: HeldOutHalves,
    calibration: Columns,
    outliers: Mapping[str, Source],
    stage: Callable[[str], None],
) -> WrapReport:
    names, policy = options.outputs.scores, options.policy
    stage("measuring the test half")
    predicted, inside = _predict(run, halves.test, names)
    outside = {}
    for key, source in outliers.items():
        stage(f"measuring {key}")
        _, outside[key] = _predict(run, load(source, options.spec), names)
    return WrapReport(
        score=policy.score,
        alpha=policy.alpha,
        delta=policy.delta,
        pixels=str(options.transform),
        outputs=DESCRIPTIONS[options.outputs],
        calibration_images=len(halves.calibration),
        accuracy=float((predicted == halves.test_labels.numpy()).mean()),
        accuracy_images=len(halves.test),
        chance=1 / len(classes),
        scores={name: _figures(name, policy, calibration, inside, outside) for name in names},
        hardware=hardware(),
        command=command(),
    )


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
