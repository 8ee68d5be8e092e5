"""Export a finished run: ONNX graph, calibration, parity check, model card, bundle."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.models.bundle import check_replaceable, write_bundle
from oodguard.models.errors import RecipeError
from oodguard.models.manifest import Description
from oodguard.models.policy_thresholds import rows_threshold
from oodguard.models.records import DataRecord, TrainingRecord
from oodguard.training.data.dataset import Split, load, split
from oodguard.training.export.calibration_attack import (
    Advance,
    ScoredGraph,
    no_progress,
    with_attacked_scores,
)
from oodguard.training.export.onnx import to_onnx
from oodguard.training.report.card import write_card
from oodguard.training.report.model import Report
from oodguard.training.report.write import read_report, report_name, stamped
from oodguard.training.run_folder import RunFolder
from oodguard.training.scoring.fit_scores import scored_network
from oodguard.training.scoring.graph import torch_run
from oodguard.training.scoring.parity import Parity, calibrate, check_parity, onnx_run

PARITY_IMAGES = 1000


def export(
    run: RunFolder,
    out: Path,
    *,
    attacked: int = 0,
    stage: Callable[[str], None] = lambda _: None,
    advance: Advance = no_progress,
) -> Parity:
    """Write the bundle of a run to `out`, and return the result of the parity check.

    The calibration scores come from ONNX Runtime, which serves the bundle. `attacked` calibration
    images are attacked, for policies under attack. `stage` is called with the name of each stage,
    `advance` with the number of images after each batch of attacked ones.

    Raises:
        RecipeError: The run is not finished, or not evaluated by its default score.
        ParityError: Torch and ONNX Runtime disagree; nothing is written.
        BundleError: `out` cannot be replaced.
    """
    check_replaceable(out)
    report = checked_report(run)
    recipe = run.recipe
    stage(f"reading {recipe.inliers.name}")
    data = split(load(recipe.inliers, recipe.input), recipe.inliers, seed=recipe.seed)
    names = recipe.score_names
    stage("fitting the scores")
    classifier = scored_network(run, data.training, names)
    stage("exporting the graph")
    model = to_onnx(classifier, recipe.input)
    serve = onnx_run(model)
    stage("calibrating")
    calibration = calibrate(serve, data.calibration, names, data.training.classes)
    limits = np.array([rows_threshold(calibration, name, report.policy) for name in names])
    stage("comparing torch with ONNX Runtime")
    parity = check_parity(torch_run(classifier), serve, _parity_images(data), limits)
    record = None
    if attacked:
        graph = ScoredGraph(
            classifier=classifier,
            run=serve,
            score=recipe.default_score,
            column=names.index(recipe.default_score),
        )
        calibration, record = with_attacked_scores(
            calibration, graph, data.calibration.images[:], count=attacked, advance=advance
        )
    stage("writing the bundle")
    parameters = sum(parameter.numel() for parameter in classifier.network.parameters())
    description = _describe(run, data, report, parameters=parameters).model_copy(
        update={"calibration_attack": record}
    )
    write_bundle(
        out,
        description=description,
        model=model,
        calibration=calibration,
        evaluation=report.model_dump(mode="json"),
        card=write_card(description, report, run.recipe_text, calibration),
    )
    return parity


def checked_report(run: RunFolder) -> Report:
    """Return the report of a finished run whose figures may be shipped.

    Raises:
        RecipeError: The run is not finished, or its figures may not be shipped.
    """
    recipe, done = run.recipe, len(run.progress().epochs)
    if done < recipe.schedule.epochs:
        raise RecipeError(
            f"{run.folder}: finished epochs: {done} of {recipe.schedule.epochs}. Finish the run"
            " with fit --resume."
        )
    report = read_report(run)
    if report.trust.stamp == "untrusted":
        raise RecipeError(
            f"{run.folder}: the figures are untrusted, because a gradient-masking check failed. See"
            f" {report_name(report.suite.name)}.html."
        )
    if report.score != recipe.default_score:
        raise RecipeError(
            f"{run.folder}: evaluated by score {report.score!r}, expected the default score"
            f" {recipe.default_score!r}. Evaluate it again without --score."
        )
    return report


def _parity_images(data: Split) -> NDArray[np.uint8]:
    """Return validation images, and training images if there are too few.

    Calibration images are not used: the score of one is the threshold, and there the decision
    depends on rounding.
    """
    images = torch.cat([data.validation.images[:], data.training.images[:PARITY_IMAGES]])
    return images[:PARITY_IMAGES].numpy()


def _describe(run: RunFolder, data: Split, report: Report, *, parameters: int) -> Description:
    recipe, progress = run.recipe, run.progress()
    attack, outliers = recipe.attack, recipe.outliers
    return Description(
        **stamped(report, recipe.input),
        name=recipe.name,
        version=recipe.version,
        created=datetime.now(UTC),
        classes=data.training.classes,
        input=recipe.input,
        scores=recipe.score_names,
        default_score=recipe.default_score,
        training=TrainingRecord(
            method=recipe.method,
            network=str(recipe.network),
            parameters=parameters,
            epsilon=attack.epsilon if attack else 0.0,
            attack_steps=attack.steps if attack else 0,
            inliers=DataRecord(name=recipe.inliers.name, images=progress.training_images),
            outliers=DataRecord(name=outliers.name, images=progress.outlier_images)
            if outliers
            else None,
            seed=recipe.seed,
            epochs=len(progress.epochs),
            duration_s=progress.duration_s,
            hardware=progress.hardware,
            command=progress.command,
            libraries=progress.libraries,
        ),
    )
