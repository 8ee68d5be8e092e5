"""The command `oodguard-train export`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from oodguard.models.bundle import check_replaceable, open_bundle
from oodguard.training.cli.attack import TimeEstimate
from oodguard.training.cli.command import Threads, print_message, run_command, warn
from oodguard.training.cli.quantize import print_quantized
from oodguard.training.cli.sources import check_run_data, list_recipe
from oodguard.training.export.calibration_attack import ATTACKED_IMAGES
from oodguard.training.export.export import export as run_export
from oodguard.training.quantize.images import images_of_recipe
from oodguard.training.quantize.quantize import quantize
from oodguard.training.report.card import quick_notice
from oodguard.training.report.write import read_report
from oodguard.training.run_folder import DATA, RunFolder


def export(
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
) -> None:
    """Export a run as a bundle: ONNX graph, calibration, evaluation and model card.

    Nothing is written unless torch and ONNX Runtime agree, and with int8 unless the INT8 graph
    agrees with float32 within the bounds of `quantize`.
    """
    with run_command(threads):
        check_replaceable(out)
        folder = RunFolder(run)
        text = folder.recipe_text
        check_run_data(run / DATA, text, list_recipe(text, ("inliers",)), "inliers")
        if precision == "int8":
            _export_int8(folder, out)
            return
        parity = run_export(folder, out, attacked=attacked, advance=TimeEstimate(attacked))
        print_message(
            f"Exported {out}. torch and ONNX Runtime agree on {parity.images} images; the"
            f" largest difference of a score is {parity.largest_difference:.1g}.",
        )
        if notice := quick_notice(read_report(folder)):
            warn(f"the bundle is stamped quick. {notice}")


def _export_int8(run: RunFolder, out: Path) -> None:
    """Export a run in float32 to a temporary folder, and quantize that bundle."""
    with TemporaryDirectory() as folder:
        run_export(run, Path(folder, "float32"))
        bundle = open_bundle(Path(folder, "float32"))
    description = quantize(
        bundle,
        images_of_recipe(bundle),
        name=bundle.manifest.name,
        version=bundle.manifest.version,
        policy=read_report(run).policy,
        out=out,
        tuned=False,
        stage=lambda _: None,
        warn=warn,
    )
    print_quantized(out, description, has_recipe=True)
