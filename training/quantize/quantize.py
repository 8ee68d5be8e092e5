"""Make an INT8 bundle of a float32 bundle."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from oodguard.models.bundle import Bundle, check_replaceable, write_bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, RecipeError
from oodguard.models.manifest import Description, lowest_schema_version
from oodguard.models.policy_thresholds import rows_threshold
from oodguard.models.records import QuantizationRecord
from oodguard.training.onnx_torch.node import UnsupportedGraph
from oodguard.training.provenance import command, cpu_name
from oodguard.training.quantize.card import write_quantized_card
from oodguard.training.quantize.comparison import (
    Comparison,
    check_comparison,
    compare,
    speed_ratios,
)
from oodguard.training.quantize.distribution import other_distribution
from oodguard.training.quantize.finetune import Decision, finetune
from oodguard.training.quantize.graph import prepare, quantize_graph
from oodguard.training.quantize.images import QuantizationImages
from oodguard.training.scoring.parity import calibrate, check_calibration, onnx_run
from oodguard.training.training_split import ORIGINS, recorded_origins


def quantize(  # noqa: PLR0913  (by keyword)
    bundle: Bundle,
    images: QuantizationImages,
    *,
    name: str,
    version: str,
    policy: Policy,
    out: Path,
    tuned: bool,
    stage: Callable[[str], None],
    warn: Callable[[str], None],
) -> Description:
    """Write the INT8 bundle of a float32 bundle, and return its description.

    The thresholds come from the INT8 graph's own scores of held-out images, so alpha and delta
    hold for it as they do for the original.

    Args:
        bundle: The float32 bundle.
        images: In-distribution images; those of the calibration were not trained on.
        name: Name of the new bundle.
        version: Version of the new bundle.
        policy: Alpha and delta at which decisions are compared, and the deciding score.
        out: Folder of the new bundle.
        tuned: Whether to fine-tune the INT8 graph.
        stage: Called with the name of each stage.
        warn: Called with a warning, which the card repeats.

    Raises:
        BundleError: The bundle is quantized already, its graph cannot be quantized, or `out` cannot
            be replaced.
        RecipeError: The bundle does not have the score of the policy, or the images of its recipe
            were changed.
        CalibrationError: There are too few calibration images for the policy.
        ParityError: Too many classes or decisions change; nothing is written.
    """
    check_replaceable(out)
    manifest = bundle.manifest
    recorded = recorded_origins(bundle.evaluation)
    origins = tuple(recorded.values()) if images.calibrated else ()
    if manifest.quantization is not None:
        raise BundleError(
            f"{manifest.name} is an INT8 bundle, expected a float32 bundle. Quantize the bundle"
            " that it was made from"
        )
    if policy.score not in manifest.scores:
        raise RecipeError(
            f"score: received {policy.score!r}, expected one of {', '.join(manifest.scores)}"
        )
    column = manifest.scores.index(policy.score)
    original_run = onnx_run(bundle.model)
    original = calibrate(original_run, images.calibration, manifest.scores, manifest.classes)
    if images.calibrated:
        check_calibration(
            bundle.calibration, original.ordered()
        )  # of the recipe, whose images may change
    warning = None if images.calibrated else other_distribution(bundle.rows, original, policy)
    if warning:
        warn(warning)
    if bundle.rows.attacked:
        warn(
            "the scores of attacked calibration images are those of the float32 graph and are left"
            " out: a policy with under_attack needs `oodguard-train attack` on the INT8 bundle"
        )
    old_threshold = rows_threshold(original, policy.score, policy)
    stage("quantizing")
    prepared = prepare(bundle.model, images.ranges)
    graph = quantize_graph(prepared, images.ranges)
    if tuned:
        decision = Decision(column=column, threshold=old_threshold)
        try:
            finetune(graph, prepared, images.tuning, decision, stage=stage)
        except UnsupportedGraph as error:
            raise BundleError(f"{error}, nor for --finetune. Quantize without it") from error
    model: bytes = graph.SerializeToString()
    quantized_run = onnx_run(model)
    stage("calibrating")
    calibration = calibrate(quantized_run, images.calibration, manifest.scores, manifest.classes)
    stage("comparing with float32")
    comparison = compare(
        original_run,
        quantized_run,
        images.compared,
        column=column,
        thresholds=(old_threshold, rows_threshold(calibration, policy.score, policy)),
    )
    check_comparison(comparison)
    stage("measuring the speed")
    record = _record(bundle, images, comparison, model, tuned=tuned)
    description = Description.model_validate(
        {
            **manifest.model_dump(exclude={"files", "calibration", "calibration_attack"}),
            "schema_version": lowest_schema_version(manifest.input, quantization=record),
            "name": name,
            "version": version,
            "created": datetime.now(UTC),
            "default_score": policy.score,
            "quantization": record,
        }
    )
    write_bundle(
        out,
        description=description,
        model=model,
        calibration=calibration,
        evaluation=_evaluation(bundle, comparison, policy),
        card=write_quantized_card(
            description, manifest, policy, len(images.calibration), warning, origins
        ),
    )
    return description


def _record(
    bundle: Bundle,
    images: QuantizationImages,
    comparison: Comparison,
    model: bytes,
    *,
    tuned: bool,
) -> QuantizationRecord:
    return QuantizationRecord(
        source=bundle.sha256,
        range_images=len(images.ranges),
        tuning_images=len(images.tuning) if tuned else 0,
        compared_images=comparison.images,
        class_flips=comparison.class_flips,
        decision_flips=comparison.decision_flips,
        largest_difference=comparison.largest_difference,
        speed=speed_ratios(bundle.model, model, images.compared),
        hardware=cpu_name(),
        command=command(),
    )


def _evaluation(bundle: Bundle, comparison: Comparison, policy: Policy) -> dict[str, object]:
    """Return the evaluation.json: the comparison, and what was measured of the float32 graph.

    The recipe and the records of the training stay at the top, where other commands find them.
    """
    kept = ("recipe", "inliers", *ORIGINS)
    return {
        "kind": "quantized",
        "attacked": "not measured",
        "alpha": policy.alpha,
        "delta": policy.delta,
        "comparison": asdict(comparison),
        "float32": dict(bundle.evaluation),
        **{key: bundle.evaluation[key] for key in kept if bundle.evaluation.get(key)},
    }
