"""The command `oodguard-train wrap`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from oodguard.command_line.output import json_option, message, print_json, warn
from oodguard.command_line.progress import stages
from oodguard.models.decision import Policy
from oodguard.models.errors import ClassifierError
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
    print_figures,
    replacement,
    run_command,
)
from oodguard.training.cli.results import report_missing_reasons
from oodguard.training.cli.sources import prepare_large, print_positions
from oodguard.training.cli.wrap_options import (
    check_columns,
    input_spec,
    named_sources,
    normalization,
)
from oodguard.training.wrap.card import wrapped_figures
from oodguard.training.wrap.classifier import read_original_classifier
from oodguard.training.wrap.data_checks import check_fit_classes
from oodguard.training.wrap.features import AUTO
from oodguard.training.wrap.form import infer_form
from oodguard.training.wrap.input import PRESETS, ChannelOrder, Layout, PixelTransform
from oodguard.training.wrap.labels import read_classes
from oodguard.training.wrap.output import OutputKind
from oodguard.training.wrap.scores import FEATURE_SCORES
from oodguard.training.wrap.wrap import WrapOptions
from oodguard.training.wrap.wrap import wrap as run_wrap

SOURCE_OPTIONS = (
    "skip_broken",
    "image_column",
    "label_column",
    "group",
    "group_across_classes",
)
"""The keys of a source that are options of the command."""

EXAMPLES = (
    "oodguard-train wrap classifier.onnx --data photos --out mine --preset imagenet",
    "oodguard-train wrap classifier.onnx --data photos --out mine --fit training --outliers other",
)


def wrap(  # noqa: PLR0913  (each parameter is an option of the command)
    classifier: Annotated[Path, typer.Argument(help="ONNX file of a classifier.")],
    data: Annotated[Path, typer.Option(help="Folder or table of labelled held-out images.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; an existing one is replaced.")],
    classes: Annotated[
        Path | None,
        typer.Option(
            help="File of class names, one per line.", show_default="the classes of the data"
        ),
    ] = None,
    outliers: Annotated[
        list[Path] | None, typer.Option(help="Out-of-distribution images to measure; repeatable.")
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="Maximum number of images per set.")] = 4000,
    skip_broken: SkipBroken = False,
    image_column: Annotated[
        str | None,
        typer.Option(help="Column of the images in tables.", show_default="by type and name"),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column of the labels in the tables of --data and --fit.",
            show_default="by type and name",
        ),
    ] = None,
    group: Group = None,
    group_across_classes: GroupAcrossClasses = False,
    preset: Annotated[
        str | None, typer.Option(help=f"Normalization by name: {', '.join(PRESETS)}.")
    ] = None,
    channel_order: Annotated[
        ChannelOrder | None,
        typer.Option(help="Order of the colour channels.", show_default="rgb, or the preset's"),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="Divisor of the pixels 0 to 255.", show_default="255; 1 for integers"),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Subtracted after that.", show_default="0"),
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Divisor after that.", show_default="1")
    ] = None,
    layout: Annotated[
        Layout | None, typer.Option(help="Layout of the input.", show_default="from its shape")
    ] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Input height, if dynamic.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Input width, if dynamic.")] = None,
    resize: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="Resize of images of other sizes: crop, crop:256, stretch, letterbox or"
            " letterbox:114.",
        ),
    ] = "crop",
    resample: Annotated[
        Literal["bicubic", "bilinear"], typer.Option(help="Interpolation of the resize.")
    ] = "bicubic",
    outputs: Annotated[
        OutputKind | None,
        typer.Option(help="Meaning of the model's output.", show_default="logits"),
    ] = None,
    input_name: Annotated[str | None, typer.Option(help="Input, if there are several.")] = None,
    output_name: Annotated[str | None, typer.Option(help="Output, if there are several.")] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="auto|NODE",
            help="Features for the scores knn, mahalanobis, relative_mahalanobis and vim: the input"
            " of the last linear layer, or that of a node or tensor.",
            show_default="none; auto with --fit",
        ),
    ] = None,
    fit: Annotated[
        Path | None,
        typer.Option(
            help="Folder or table of labelled images to fit these scores on, such as the"
            " training images; not those of --data."
        ),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(help="Score to decide by.", show_default="energy; msp for probabilities"),
    ] = None,
    alpha: Alpha = 0.05,
    delta: Delta = 0.05,
    name: Name = None,
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    threads: Threads = None,
    as_json: Annotated[bool, json_option("folder", "model", "agreement", "report")] = False,
) -> None:
    """Make a bundle of an existing ONNX classifier: scores and calibration, but no hardening."""
    with run_command(threads, options=SOURCE_OPTIONS):
        original = read_original_classifier(
            classifier, input_name=input_name, output_name=output_name
        )
        form = infer_form(original.shape, layout=layout, height=height, width=width)
        kind = outputs or OutputKind.LOGITS
        chosen_features = features or (AUTO if fit else None)
        if chosen_features and not fit:
            raise ClassifierError(
                "--features: expected --fit SOURCE too, labelled images to fit the scores on"
            )
        options = WrapOptions(
            name=bundle_name(name, out),
            version=bundle_version(version),
            spec=input_spec(resize, form, resample),
            transform=PixelTransform(
                layout=form.layout,
                height=form.height,
                width=form.width,
                channels=form.channels,
                rank=form.rank,
                normalization=normalization(
                    preset, channel_order, scale, mean, std, is_integer=original.takes_integers
                ),
                pixel_type=original.pixel_type,
            ),
            outputs=kind,
            is_explicit=outputs is not None,
            classes=read_classes(classes) if classes else None,
            features=chosen_features,
            policy=Policy(
                score=kind.choose(score, FEATURE_SCORES if chosen_features else ()),
                alpha=alpha,
                delta=delta,
            ),
        )
        columns = {"--image-column": image_column, "--label-column": label_column}
        check_columns(columns, data, fit)
        opened = partial(
            source_at, images=images, skip_broken=skip_broken, image_column=image_column
        )
        source = opened(
            data,
            label_column=label_column,
            group=group,
            group_across_classes=group_across_classes,
        )
        others = named_sources(outliers or (), opened)
        keys = {f"--outliers {name}": (each, False) for name, each in others.items()}
        fit_source = opened(fit, label_column=label_column) if fit else None
        keys |= {"--fit": (fit_source, True)} if fit_source else {}
        with stages("listing the images"):
            listings = list_sources({"--data": (source, True), **keys}, message)
        if shared := listings["--data"].warning:
            warn(f"{shared}.")
        for key in ("--data", "--fit"):
            if key in listings and (known := options.classes or listings["--data"].classes):
                print_positions(known, key, listings[key])
        if fit_source and (
            warning := check_fit_classes(options.classes, listings["--data"], listings["--fit"])
        ):
            warn(warning)
        prepare_large(listings, options.spec)
        with replacement(out), stages("reading") as stage:
            report, agreement = run_wrap(
                original,
                options,
                data=source,
                outliers=others,
                fit=fit_source,
                out=out,
                stage=stage,
                log=message,
            )
        for warning in report.warnings:
            warn(warning)
        if as_json:
            print_json({**bundle_json(out), "agreement": agreement, "report": report})
            return
        print_figures(wrapped_figures(report))
        message(
            f"Exported {out}, not hardened. It agrees with {classifier.name} on"
            f" {agreement.images} images; the largest difference is"
            f" {agreement.largest_difference:.1g}.",
        )
        report_missing_reasons(out)
