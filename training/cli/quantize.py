"""The command `oodguard-train quantize`."""

from pathlib import Path
from typing import Annotated

import typer

from oodguard.command_line.output import json_option, message, print_json, warn
from oodguard.command_line.progress import stages
from oodguard.models.bundle import open_bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError
from oodguard.models.manifest import Description
from oodguard.sources.reader import list_sources, source_at
from oodguard.training.cli.command import (
    Alpha,
    Delta,
    Group,
    GroupAcrossClasses,
    Name,
    SkipBroken,
    Threads,
    bundle_json,
    bundle_name,
    bundle_version,
    replacement,
    run_command,
)
from oodguard.training.cli.sources import print_positions
from oodguard.training.quantize.images import check_classes, images_of_recipe, images_of_source
from oodguard.training.quantize.quantize import quantize as run_quantize

DATA_IMAGES = 8000

SOURCE_OPTIONS = ("skip_broken", "group", "group_across_classes")
"""The keys of a source that are options of the command."""

EXAMPLES = (
    "oodguard-train quantize models/pretrained/cifar10-aloe --out cifar10-int8",
    "oodguard-train quantize smoke --out smoke-int8 --data photos --finetune",
)


def quantize(  # noqa: PLR0913  (each parameter is an option of the command)
    bundle: Annotated[Path, typer.Argument(help="Folder of a float32 bundle.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; an existing one is replaced.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder or table of held-out images, at least 3,000.",
            show_default="the inliers of the bundle's recipe",
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=2, help="Maximum number of images of --data.", show_default="8000"),
    ] = None,
    skip_broken: SkipBroken = False,
    group: Group = None,
    group_across_classes: GroupAcrossClasses = False,
    score: Annotated[
        str | None,
        typer.Option(help="Score to decide by.", show_default="the bundle's default score"),
    ] = None,
    finetune: Annotated[
        bool,
        typer.Option("--finetune", help="Train the INT8 graph to the outputs of float32."),
    ] = False,
    alpha: Alpha = 0.05,
    delta: Delta = 0.05,
    name: Name = None,
    version: Annotated[
        str | None, typer.Option(help="Version.", show_default="the version of the bundle")
    ] = None,
    threads: Threads = None,
    as_json: Annotated[bool, json_option("folder", "model", "quantization")] = False,
) -> None:
    """Make an INT8 bundle: two to three times as fast on a CPU with VNNI, calibrated again.

    Nothing is written if too many classes or decisions differ from the float32 bundle.
    """
    with run_command(threads, options=SOURCE_OPTIONS):
        original = open_bundle(bundle)
        if out.resolve() == bundle.resolve():
            raise BundleError(
                f"--out is {out}, the folder of the float32 bundle, which would be lost. Give"
                " another folder"
            )
        manifest = original.manifest
        policy = Policy(score=score or manifest.default_score, alpha=alpha, delta=delta)
        if data is None and (images is not None or skip_broken or group or group_across_classes):
            raise BundleError(
                "--images, --skip-broken and --group: expected --data too, the images that they"
                " concern. The images of the bundle's recipe are read by the keys of the recipe"
            )
        limit = DATA_IMAGES if images is None else images
        source = None
        if data:
            source = source_at(
                data,
                images=limit,
                skip_broken=skip_broken,
                group=group,
                group_across_classes=group_across_classes,
            )
            with stages("listing the images"):
                listings = list_sources({"--data": (source, False)}, message)
            if warning := check_classes(manifest.classes, listings["--data"]):
                warn(warning)
            if shared := listings["--data"].warning:
                warn(f"{shared}.")
            if original.rows.groups is not None and group is None:
                warn(
                    "the float32 bundle was calibrated by groups, and --data has no --group: if"
                    " images of --data are near-duplicates, such as frames of a film, the limit"
                    " alpha does not hold"
                )
            print_positions(manifest.classes, "--data", listings["--data"])
        with replacement(out), stages("reading") as stage:
            description = run_quantize(
                original,
                images_of_source(original, source, policy)
                if source
                else images_of_recipe(original),
                name=bundle_name(name, out),
                version=bundle_version(version or manifest.version),
                policy=policy,
                out=out,
                tuned=finetune,
                stage=stage,
                warn=warn,
            )
        if as_json:
            print_json({**bundle_json(out), "quantization": description.quantization})
            return
        # Without --data, the data of the recipe were found.
        print_quantized(out, description, has_recipe=data is None)


def print_quantized(out: Path, description: Description, *, has_recipe: bool) -> None:
    """Print the differences between the bundle in `out` and its float32 bundle.

    Without a recipe, as of `wrap`, or without its data, the bundle is evaluated by another file.
    """
    record = description.quantization
    if record is not None:
        recipe = "" if has_recipe else " --recipe FILE, a file that names the evaluation data"
        speeds = " and ".join(f"{ratio:g}" for ratio in record.speed.values())
        message(
            f"Exported {out}: INT8, {speeds} times as fast as float32 in batches of"
            f" {' and '.join(record.speed)}. Of {record.compared_images:,} images,"
            f" {record.class_flips:.2%} have another class and {record.decision_flips:.2%} another"
            f" decision. No attack was run on it: oodguard-train evaluate {out}{recipe}"
        )
        if max(record.speed.values(), default=0) <= 1:
            warn("INT8 is not faster than float32 on this machine: serve the float32 bundle")
