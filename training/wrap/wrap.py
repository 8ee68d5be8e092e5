"""Make a bundle of an existing ONNX classifier and labelled held-out images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.models.bundle import check_replaceable, write_bundle
from oodguard.models.calibrated_model import RunGraph
from oodguard.models.decision import Policy
from oodguard.models.manifest import Description, InputSpec
from oodguard.models.records import DataRecord, TrainingRecord
from oodguard.sources.source import Source
from oodguard.training.data.calibration_half import check_calibration_half, random_halves
from oodguard.training.data.dataset import ImageSet, load
from oodguard.training.provenance import command, hardware, libraries
from oodguard.training.scoring.parity import Parity, calibrate
from oodguard.training.wrap.agreement import check_agreement
from oodguard.training.wrap.card import write_wrapped_card
from oodguard.training.wrap.classifier import OriginalClassifier
from oodguard.training.wrap.data_checks import check_shared
from oodguard.training.wrap.features import Features, find_features
from oodguard.training.wrap.figures import predict, score_figures
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
from oodguard.training.wrap.report import WrapReport
from oodguard.training.wrap.scores import WrappedScores, fit_feature_scores
from oodguard.training.wrap.trials import Trials, images_to_try, run_trials

AGREEMENT_IMAGES = 200
SEED = 0

HIGH_ACCURACY = 0.9
"""Other preprocessings are tried where the accuracy is below this."""


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
    check_calibration_half(images, options.policy)
    subset = images.images[:AGREEMENT_IMAGES].numpy()
    stage("running the original classifier")
    features, weights = _features(original, options, subset)
    run_original = original_outputs(original, options.transform, features)
    raw, rows = run_original(subset)
    check_output_kind(raw, options.outputs, is_explicit=options.is_explicit)
    logits = to_logits(torch.from_numpy(raw), options.outputs)
    classes = options.classes or images.classes
    outputs = logits.shape[1]
    labels = labels_of_outputs(classes, images, outputs=outputs)
    images = replace(images, labels=labels, classes=classes)
    scores = WrappedScores(options.outputs)
    if features and fit and rows is not None:
        fit_images = read(fit, labelled=True)
        check_shared(images, fit_images)
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
    order, half = random_halves(images, seed=SEED)
    graph = scores.graph(outputs=raw.shape[1], features=0 if rows is None else rows.shape[1])
    model = merge(options.transform.graph(), original, raw.shape[1], features, graph)
    stage("comparing the wrapped classifier with the original")
    run = merged_run(model)
    agreement = check_agreement(raw, run, subset, scores, rows)
    stage("calibrating")
    names, policy = scores.names, options.policy
    calibration = calibrate(run, images.subset(order[:half]), names, classes)
    stage("measuring")
    test = images.subset(order[half:])
    predicted, inside = predict(run, test, names)
    outside = {key: predict(run, read(source), names)[1] for key, source in outliers.items()}
    accuracy = float((predicted == test.labels.numpy()).mean())
    stage("trying other preprocessings")
    report = WrapReport(
        score=options.outputs.choose(policy.score, tuple(scores.fitted)),
        alpha=policy.alpha,
        delta=policy.delta,
        pixels=str(options.transform),
        outputs=DESCRIPTIONS[options.outputs] + (SINGLE if raw.shape[1] == 1 else ""),
        features=f"{features.tensor}, {features.size} values" if features else None,
        images_read=tuple(images_read),
        calibration_images=half,
        calibration_groups=calibration.group_count,
        accuracy=accuracy,
        accuracy_images=len(test),
        chance=1 / len(classes),
        trials=_run_trials(run_original, options, images, order.flip(0), classes)
        if accuracy < HIGH_ACCURACY
        else None,
        scores={name: score_figures(name, policy, calibration, inside, outside) for name in names},
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
    run_original: RunOriginal,
    options: WrapOptions,
    images: ImageSet,
    order: Tensor,
    classes: tuple[str, ...],
) -> Trials:
    """Return the trials on the first images in this order, of the classes in turn."""
    labels = images.labels[order].numpy()
    index = images_to_try(labels)
    pixels = images.images[order[index]].numpy()

    def predict(transform: PixelTransform, count: int) -> NDArray[np.int64]:
        raw, _ = run_original(pixels[:count], transform)
        return to_logits(torch.from_numpy(raw), options.outputs).argmax(dim=1).numpy()

    return run_trials(predict, options.transform, labels[index], classes)


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
