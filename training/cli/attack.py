"""The command `oodguard-train attack`."""

from pathlib import Path
from typing import Annotated

import typer

from oodguard.command_line.output import json_option, message, print_json
from oodguard.command_line.progress import describe_duration, stages
from oodguard.models.bundle import check_replaceable, open_bundle
from oodguard.models.counts import count_of
from oodguard.models.versions import new_version
from oodguard.training.cli.command import Threads, bundle_json, replacement, run_command
from oodguard.training.cli.progress import attack_progress
from oodguard.training.export.attack_bundle import attack_bundle
from oodguard.training.export.calibration_attack import ATTACKED_IMAGES

EXAMPLES = ("oodguard-train attack models/pretrained/cifar10-aloe --out cifar10-attacked",)


def attack(  # noqa: PLR0913 - each parameter is an option of the command
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
    version: Annotated[
        str | None,
        typer.Option(
            help="Version of the new bundle.",
            show_default="the next post-release, such as 1.post1",
        ),
    ] = None,
    threads: Threads = None,
    as_json: Annotated[bool, json_option("folder", "model", "calibration_attack")] = False,
) -> None:
    """Add the scores of attacked calibration images to a bundle, for policies under attack.

    The model and its calibration are unchanged, the version is new. The images are recognized by
    their scores.
    """
    with run_command(threads):
        check_replaceable(out)
        opened = open_bundle(bundle)
        chosen = new_version(version, opened.manifest)
        with replacement(out), stages("reading") as stage:
            made = attack_bundle(
                opened,
                data,
                count=images,
                version=chosen,
                out=out,
                advance=attack_progress(stage),
            )
        record = made.manifest.calibration_attack
        if as_json:
            print_json({**bundle_json(out), "calibration_attack": record})
        elif record is not None:
            message(
                f"Exported {out}: {made.manifest.name} {chosen}. Attacked by {record.method} in"
                f" {describe_duration(record.duration_s)}:"
                f" {count_of(record.images, 'calibration image')}."
            )
