"""From an ONNX classifier and held-out images to a bundle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import onnx

from models.bundle import Bundle, write_bundle
from models.decision import Policy
from models.guard import Run
from models.manifest import DataRecord, Description, InputSpec, TrainingRecord
from training.data import load
from training.provenance import command, hardware, libraries
from training.sources import Source
from training.wrapping.agreement import Agreement, check_agreement
from training.wrapping.card import write_wrapped_card
from training.wrapping.classes import labels_in
from training.wrapping.figures import WrapReport
from training.wrapping.free_batch import with_free_batch
from training.wrapping.measure import Columns, Halves, answers, score_figures
from training.wrapping.merge import merge
from training.wrapping.original import Original
from training.wrapping.outputs import MEANING, Outputs, check_outputs, scores_graph
from training.wrapping.pixels import Pixels
from training.wrapping.runtime import answers_of, run_of

AGREEMENT_IMAGES = 200
SEED = 0

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What the bundle is to be: its name, its pixels' rule, its classes, its policy."""

    name: str
    version: str
    spec: InputSpec
    pixels: Pixels
    outputs: Outputs
    classes: tuple[str, ...] | None
    policy: Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrapped:
    """A bundle that was written, its figures, and what the gate saw."""

    bundle: Bundle
    report: WrapReport
    agreement: Agreement


def wrap(  # noqa: PLR0913  (by keyword)
    original: Original,
    wish: Wish,
    *,
    data: Source,
    outliers: Mapping[str, Source],
    out: Path,
    tell: Tell,
) -> Wrapped:
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
    raw = answers_of(original, wish.pixels)(few)
    check_outputs(raw, wish.outputs)
    classes = wish.classes or images.classes
    halves = Halves.of(images, labels_in(classes, images, outputs=raw.shape[1]), seed=SEED)
    free, scores = with_free_batch(original), scores_graph(wish.outputs, classes=raw.shape[1])
    model = merge(wish.pixels.graph(), original, free, scores)
    tell("comparing the wrapped classifier with it")
    run = run_of(model)
    agreement = check_agreement(raw, run, few, wish.outputs)
    tell("calibrating")
    _, calibration = answers(run, halves.calibration, wish.outputs.scores)
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
    return Wrapped(bundle=bundle, report=report, agreement=agreement)


def _report(  # noqa: PLR0913  (what a report is made of)
    run: Run,
    wish: Wish,
    classes: tuple[str, ...],
    halves: Halves,
    calibration: Columns,
    outliers: Mapping[str, Source],
    tell: Tell,
) -> WrapReport:
    names, policy = wish.outputs.scores, wish.policy
    tell("measuring the other half")
    predicted, inside = answers(run, halves.test, names)
    outside = {}
    for key, source in outliers.items():
        tell(f"measuring {key}")
        _, outside[key] = answers(run, load(source, wish.spec), names)
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


def _describe(original: Original, wish: Wish, classes: tuple[str, ...]) -> Description:
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
