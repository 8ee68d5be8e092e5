"""Make a bundle of an existing ONNX classifier and labelled held-out images."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.bundle import check_replaceable, write_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.calibration import images_required
from oodguard.models.decision import Policy, threshold
from oodguard.models.errors import CalibrationError, ClassifierError
from oodguard.models.manifest import DataRecord, Description, InputSpec, TrainingRecord
from oodguard.training.config.sources import Source
from oodguard.training.data.dataset import ImageSet, load
from oodguard.training.provenance import command, hardware, libraries
from oodguard.training.report.metrics import auroc, false_rejection_rate, missed_ood_rate
from oodguard.training.scoring.parity import Parity, in_batches
from oodguard.training.wrap.agreement import BATCH_SIZES, check_agreement
from oodguard.training.wrap.classifier import OriginalClassifier
from oodguard.training.wrap.features import Features, find_features
from oodguard.training.wrap.graph import FEATURES, RAW, merge, merged_run
from oodguard.training.wrap.input import PixelTransform
from oodguard.training.wrap.labels import labels_of_outputs
from oodguard.training.wrap.original import RunOriginal, original_outputs, probe_features
from oodguard.training.wrap.output import (
    DESCRIPTIONS,
    SINGLE,
    OutputKind,
    check_output_kind,
    to_logits,
)
from oodguard.training.wrap.report import (
    CleanResult,
    ScoreFigures,
    WrapReport,
    write_wrapped_card,
)
from oodguard.training.wrap.scores import WrappedScores, fit_feature_scores
from oodguard.training.wrap.trials import IMAGES as TRIED_IMAGES
from oodguard.training.wrap.trials import Trials, run_trials

AGREEMENT_IMAGES = 200
DIGESTED = 1024
SEED = 0

HIGH_ACCURACY = 0.9
"""Other preprocessings are tried where the accuracy is below this."""

MOST_SHARED = 0.01
"""The largest share of the data that may also be among the images of `fit`."""

Columns = dict[str, NDArray[np.float32]]
"""Values `(n,)` by score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrapOptions:
    """The bundle's name, version, input and policy, and the classifier's preprocessing and outputs.

    `classes` are the names in the order of the outputs; None: those of the data. `features` is
    "auto" or the name of a node or tensor; None: no feature scores.
    """

    name: str
    version: str
    spec: InputSpec
    transform: PixelTransform
    outputs: OutputKind
    is_explicit: bool = False
    classes: tuple[str, ...] | None
    features: str | None = None
    policy: Policy


def wrap(  # noqa: PLR0913  (by keyword; one step after the other)
    original: OriginalClassifier,
    options: WrapOptions,
    *,
    data: Source,
    outliers: Mapping[str, Source],
    fit: Source | None,
    out: Path,
    stage: Callable[[str], None],
    log: Callable[[str], None],
) -> tuple[WrapReport, Parity]:
    """Write the bundle of a wrapped classifier; return its figures and the comparison.

    One half of the images sets the threshold, the other is used for the figures.

    `data` are labelled images that the classifier was not trained on, `outliers` are other images
    by name, for the figures. `fit` are labelled images that the feature scores are fitted on.
    `stage` is called with the name of each stage, `log` with a line for each data set that was
    read.

    Raises:
        ClassifierError: The classifier cannot be wrapped, or does not match the options.
        RecipeError: Images cannot be read, or do not determine the feature scores.
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
    features, weights = _features(original, options, subset)
    run_original = original_outputs(original, options.transform, features)
    raw, rows = run_original(subset)
    check_output_kind(raw, options.outputs, is_explicit=options.is_explicit)
    logits = to_logits(torch.from_numpy(raw), options.outputs)
    classes = options.classes or images.classes
    outputs = logits.shape[1]
    images = replace(images, labels=labels_of_outputs(classes, images, outputs=outputs))
    scores = WrappedScores(options.outputs)
    if features and fit and rows is not None:
        fit_images = read(fit, labelled=True)
        _check_shared(images, fit_images)
        labels = labels_of_outputs(classes, fit_images, outputs=outputs, option="--fit")
        stage("fitting the feature scores")
        fitted, missing = fit_feature_scores(
            _run_to_features(original, options, raw.shape[1], features),
            replace(fit_images, labels=labels),
            kind=options.outputs,
            classes=outputs,
            head=features.linear_head(weights, rows, logits.numpy()),
        )
        scores = WrappedScores(options.outputs, fitted)
        for name, reason in missing.items():
            log(f"The score {name} is left out: {reason}.")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))
    half = len(images) // 2
    graph = scores.graph(outputs=raw.shape[1], features=0 if rows is None else rows.shape[1])
    model = merge(options.transform.graph(), original, raw.shape[1], features, graph)
    stage("comparing the wrapped classifier with the original")
    run = merged_run(model)
    agreement = check_agreement(raw, run, subset, scores, rows)
    stage("calibrating")
    names, policy = scores.names, options.policy
    _, calibration = _predict(run, images.subset(order[:half]), names)
    stage("measuring")
    test = images.subset(order[half:])
    predicted, inside = _predict(run, test, names)
    outside = {key: _predict(run, read(source), names)[1] for key, source in outliers.items()}
    accuracy = float((predicted == test.labels.numpy()).mean())
    stage("trying other preprocessings")
    tried = images.subset(order.flip(0)[: 0 if accuracy >= HIGH_ACCURACY else TRIED_IMAGES])
    report = WrapReport(
        score=options.outputs.choose(policy.score, tuple(scores.fitted)),
        alpha=policy.alpha,
        delta=policy.delta,
        pixels=str(options.transform),
        outputs=DESCRIPTIONS[options.outputs] + (SINGLE if raw.shape[1] == 1 else ""),
        features=f"{features.tensor}, {features.size} values" if features else None,
        images_read=tuple(images_read),
        calibration_images=half,
        accuracy=accuracy,
        accuracy_images=len(test),
        chance=1 / len(classes),
        trials=_run_trials(run_original, options, tried, classes),
        scores={name: _figures(name, policy, calibration, inside, outside) for name in names},
        hardware=hardware(),
        command=command(),
    )
    description = _describe(original, options, classes, names)
    write_bundle(
        out,
        description=description,
        model=model.SerializeToString(),
        calibration=calibration,
        evaluation=report.model_dump(mode="json"),
        card=write_wrapped_card(description, report),
    )
    return report, agreement


def _features(
    original: OriginalClassifier, options: WrapOptions, images: NDArray[np.uint8]
) -> tuple[Features | None, NDArray[np.float32] | None]:
    if options.features is None:
        return None, None
    found = find_features(original, options.features)
    return probe_features(original, options.transform, found, images[:1])


def _run_to_features(
    original: OriginalClassifier, options: WrapOptions, outputs: int, features: Features
) -> RunGraph:
    """Return the classifier as a function from images to raw outputs and features."""
    merged = merge(options.transform.graph(), original, outputs, features, None)
    return merged_run(merged, (RAW, FEATURES))


def _run_trials(
    run_original: RunOriginal, options: WrapOptions, tried: ImageSet, classes: tuple[str, ...]
) -> Trials | None:
    """Return the trials; None without images."""
    if len(tried) == 0:
        return None

    def predict(transform: PixelTransform) -> NDArray[np.int64]:
        raw, _ = run_original(tried.images.numpy(), transform)
        return to_logits(torch.from_numpy(raw), options.outputs).argmax(dim=1).numpy()

    return run_trials(predict, options.transform, tried.labels.numpy(), classes)


def _check_shared(images: ImageSet, fit_images: ImageSet) -> None:
    """Check that the images of the threshold and the figures did not fit the scores."""
    known = {_digest(each) for batch, _ in fit_images.batches(DIGESTED) for each in batch}
    shared = sum(_digest(each) in known for batch, _ in images.batches(DIGESTED) for each in batch)
    if shared > MOST_SHARED * len(images):
        raise ClassifierError(
            f"--fit {fit_images.name}: contains {shared:,} of the {len(images):,} images of --data,"
            " expected other images: a score that was fitted on an image does not measure it"
        )


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()


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
    original: OriginalClassifier,
    options: WrapOptions,
    classes: tuple[str, ...],
    scores: tuple[str, ...],
) -> Description:
    return Description(
        schema_version=options.spec.schema_version,
        name=options.name,
        version=options.version,
        created=datetime.now(UTC),
        classes=classes,
        input=options.spec,
        scores=scores,
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
