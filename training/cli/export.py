"""The command `oodguard-train export`."""

from pathlib import Path
from typing import Annotated

import typer

from oodguard.training.cli.command import Threads, print_message, run_command, warn
from oodguard.training.export.export import export as run_export
from oodguard.training.report.card import quick_notice
from oodguard.training.report.write import read_report
from oodguard.training.run_folder import RunFolder


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/cifar10-aloe.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; an existing one is replaced.")],
    threads: Threads = None,
) -> None:
    """Export a run as a bundle: ONNX graph, calibration, evaluation and model card.

    Nothing is written unless torch and ONNX Runtime agree.
    """
    with run_command(threads):
        parity = run_export(RunFolder(run), out)
        print_message(
            f"Exported {out}. torch and ONNX Runtime agree on {parity.images} images; the"
            f" largest difference of a score is {parity.largest_difference:.1g}.",
        )
        if notice := quick_notice(read_report(RunFolder(run))):
            warn(f"the bundle is stamped quick. {notice}")
