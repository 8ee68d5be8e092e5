"""The command `oodguard-train export`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from oodguard.command_line.output import json_option, message, print_json, warn
from oodguard.command_line.progress import stages
from oodguard.models.bundle import check_replaceable, open_bundle
from oodguard.models.errors import RecipeError
from oodguard.models.records import QuantizationRecord
from oodguard.training.cli.command import Threads, bundle_json, replacement, run_command
from oodguard.training.cli.progress import attack_progress
from oodguard.training.cli.quantize import print_quantized
from oodguard.training.cli.results import report_missing_reasons
from oodguard.training.cli.sources import check_run_data, list_recipe
from oodguard.training.evaluation.partial_results import is_being_evaluated
from oodguard.training.export.calibration_attack import ATTACKED_IMAGES
from oodguard.training.export.export import checked_report
from oodguard.training.export.export import export as run_export
from oodguard.training.quantize.images import images_of_recipe
from oodguard.training.quantize.quantize import quantize
from oodguard.training.report.card import quick_notice
from oodguard.training.report.write import read_report
from oodguard.training.run_folder import DATA, RunFolder
from oodguard.training.scoring.parity import Parity

IN_RECIPE = "`version` in the recipe"

EXAMPLES = (
    "oodguard-train export runs/smoke --out smoke",
    "oodguard-train export runs/cifar10-aloe --out cifar10-int8 --precision int8",
)


def export(  # noqa: PLR0913  (each parameter is an option of the command)
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/cifar10-aloe.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; an existing one is replaced.")],
    precision: Annotated[
        Literal["float32", "int8"], typer.Option(help="Number format of the graph.")
    ] = "float32",
    attacked: Annotated[
        int,
        typer.Option(
            "--attack",
            min=0,
            help="Number of calibration images to attack, for policies under attack.",
        ),
    ] = ATTACKED_IMAGES,
    threads: Threads = None,
    as_json: Annotated[
        bool, json_option("folder", "model", "parity", "quantization", "calibration_attack")
    ] = False,
) -> None:
    """Export a run as a bundle: ONNX graph, calibration, evaluation and model card.

    Nothing is written unless torch and ONNX Runtime agree, and with int8 unless the INT8 graph
    agrees with float32 within the bounds of `quantize`.
    """
    with run_command(threads):
        check_replaceable(out)
        folder = RunFolder(run)
        _check_evaluation(folder)
        text = folder.recipe_text
        check_run_data(run / DATA, text, list_recipe(text, ("inliers",)), "inliers")
        if precision == "int8":
            with replacement(out, remedy=IN_RECIPE):
                record = _export_int8(folder, out, quiet=as_json)
            if as_json:
                _print_json(out, quantization=record)
            return
        with replacement(out, remedy=IN_RECIPE), stages("reading") as stage:
            parity = run_export(
                folder, out, attacked=attacked, stage=stage, advance=attack_progress(stage)
            )
        if notice := quick_notice(read_report(folder)):
            warn(f"the bundle is stamped quick. {notice}")
        if as_json:
            _print_json(out, parity=parity)
            return
        message(
            f"Exported {out}. torch and ONNX Runtime agree on {parity.images} images; the"
            f" largest difference of a score is {parity.largest_difference:.1g}.",
        )
        report_missing_reasons(out)


def _check_evaluation(run: RunFolder) -> None:
    """Check that a run can be exported, before its images are read.

    Raises:
        RecipeError: It is not finished, or not evaluated yet.
    """
    is_running = is_being_evaluated(run.folder)
    try:
        report = checked_report(run)
    except RecipeError as error:
        if is_running:
            raise RecipeError(
                f"{error}. An evaluation of the run has not ended: wait for its end"
            ) from error
        raise
    if is_running:
        warn(
            f"an evaluation of {run.folder} has not ended: the bundle gets the figures of the last"
            f" finished one, of the suite {report.suite.name}"
        )


def _print_json(
    out: Path, *, parity: Parity | None = None, quantization: QuantizationRecord | None = None
) -> None:
    attack = open_bundle(out).manifest.calibration_attack
    others = {"parity": parity, "quantization": quantization, "calibration_attack": attack}
    print_json({**bundle_json(out), **others})


def _export_int8(run: RunFolder, out: Path, *, quiet: bool) -> QuantizationRecord | None:
    """Export a run in float32 to a temporary folder, and quantize that bundle."""
    with TemporaryDirectory() as folder, stages("reading") as stage:
        run_export(run, Path(folder, "float32"), stage=stage)
        bundle = open_bundle(Path(folder, "float32"))
        stage("reading")
        description = quantize(
            bundle,
            images_of_recipe(bundle),
            name=bundle.manifest.name,
            version=bundle.manifest.version,
            policy=read_report(run).policy,
            out=out,
            tuned=False,
            stage=stage,
            warn=warn,
        )
    if not quiet:
        print_quantized(out, description, has_recipe=True)
    return description.quantization
