"""The command `oodguard-train attack`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from oodguard.models.bundle import check_replaceable, open_bundle
from oodguard.training.cli.command import Threads, console, print_message, run_command
from oodguard.training.cli.progress import describe_duration
from oodguard.training.export.attack_bundle import attack_bundle
from oodguard.training.export.calibration_attack import ATTACKED_IMAGES


class TimeEstimate:
    """Prints the estimated time after the first batch."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = time.perf_counter()
        self._done = 0

    def __call__(self, images: int) -> None:
        """Record attacked images."""
        self._done += images
        if self._done == images < self._total:
            seconds = (time.perf_counter() - self._started) / images * (self._total - images)
            print_message(
                f"Attacking {self._total:,} calibration images takes at most"
                f" {describe_duration(seconds)} more."
            )


def attack(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; an existing one is replaced.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder or table that has the calibration images.",
            show_default="the inliers of the bundle's recipe",
        ),
    ] = None,
    images: Annotated[
        int, typer.Option(min=1, help="Number of calibration images to attack.")
    ] = ATTACKED_IMAGES,
    threads: Threads = None,
) -> None:
    """Add the scores of attacked calibration images to a bundle, for policies under attack.

    The model and its calibration are unchanged. The images are recognized by their scores.
    """
    with run_command(threads):
        check_replaceable(out)
        opened = open_bundle(bundle)
        with console.status("attacking"):
            record = attack_bundle(
                opened,
                data,
                count=images,
                out=out,
                advance=TimeEstimate(min(images, len(opened.rows))),
            )
        print_message(
            f"Exported {out}. {record.images:,} calibration images were attacked by"
            f" {record.method}, in {describe_duration(record.duration_s)}."
        )
