"""The command `oodguard-train wrap`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import TypeAdapter, ValidationError
from rich.markup import escape

from oodguard.models.decision import Policy
from oodguard.models.errors import ClassifierError
from oodguard.models.manifest import BundleName, BundleVersion, InputSpec
from oodguard.models.names import text_of
from oodguard.models.validation_errors import describe_error
from oodguard.training.cli.command import (
    Alpha,
    Delta,
    Threads,
    console,
    print_figures,
    print_message,
    run_command,
    warn,
)
from oodguard.training.config.sources import Source
from oodguard.training.data.reader import list_sources, source_at
from oodguard.training.report.markdown import escape_control_characters
from oodguard.training.wrap.classifier import read_original_classifier
from oodguard.training.wrap.input import Layout, PixelTransform, Triple, infer_layout, infer_size
from oodguard.training.wrap.output import OutputKind, read_classes
from oodguard.training.wrap.report import wrapped_figures
from oodguard.training.wrap.wrap import WrapOptions
from oodguard.training.wrap.wrap import wrap as run_wrap

NAME = TypeAdapter(BundleName)
VERSION = TypeAdapter(BundleVersion)


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
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images that cannot be read.")
    ] = False,
    scale: Annotated[float, typer.Option(help="Divisor of the pixels 0 to 255.")] = 255.0,
    mean: Annotated[str, typer.Option(metavar="R,G,B", help="Subtracted after that.")] = "0,0,0",
    std: Annotated[str, typer.Option(metavar="R,G,B", help="Divisor after that.")] = "1,1,1",
    layout: Annotated[
        Layout | None, typer.Option(help="Layout of the input.", show_default="from its shape")
    ] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Input height, if dynamic.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Input width, if dynamic.")] = None,
    fit: Annotated[
        Literal["crop", "stretch"], typer.Option(help="How images of other sizes are resized.")
    ] = "crop",
    resample: Annotated[
        Literal["bicubic", "bilinear"], typer.Option(help="Interpolation of the resize.")
    ] = "bicubic",
    outputs: Annotated[
        OutputKind, typer.Option(help="Meaning of the model's output.")
    ] = OutputKind.LOGITS,
    input_name: Annotated[str | None, typer.Option(help="Input, if there are several.")] = None,
    output_name: Annotated[str | None, typer.Option(help="Output, if there are several.")] = None,
    score: Annotated[
        str | None,
        typer.Option(help="Score to decide by.", show_default="energy; msp for probabilities"),
    ] = None,
    alpha: Alpha = 0.05,
    delta: Delta = 0.05,
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle.", show_default="the folder's name")
    ] = None,
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    threads: Threads = None,
) -> None:
    """Make a bundle of an existing ONNX classifier: scores and calibration, but no hardening."""
    with run_command(threads):
        original = read_original_classifier(
            classifier, input_name=input_name, output_name=output_name
        )
        input_layout = infer_layout(original.shape, layout)
        input_height, input_width = infer_size(
            original.shape, input_layout, height=height, width=width
        )
        options = WrapOptions(
            name=_checked(NAME, name or out.name, "--name"),
            version=_checked(VERSION, version, "--version"),
            spec=InputSpec(height=input_height, width=input_width, fit=fit, resample=resample),
            transform=PixelTransform(
                layout=input_layout,
                height=input_height,
                width=input_width,
                scale=scale,
                mean=_triple(mean, "--mean"),
                std=_triple(std, "--std"),
                as_uint8=original.as_uint8,
            ),
            outputs=outputs,
            classes=read_classes(classes) if classes else None,
            policy=Policy(score=outputs.choose(score), alpha=alpha, delta=delta),
        )
        source = source_at(data, images=images, skip_broken=skip_broken)
        others = _named(outliers or (), images, skip_broken=skip_broken)
        keys = {f"--outliers {name}": (each, False) for name, each in others.items()}
        list_sources({"--data": (source, True), **keys}, print_message)
        with console.status("reading") as status:
            report, agreement = run_wrap(
                original,
                options,
                data=source,
                outliers=others,
                out=out,
                stage=lambda text: status.update(escape(escape_control_characters(text))),
                log=print_message,
            )
        print_figures(wrapped_figures(report))
        for warning in report.warnings:
            warn(warning)
        print_message(
            f"Exported {out}, not hardened. It agrees with {classifier.name} on"
            f" {agreement.images} images; the largest difference is"
            f" {agreement.largest_difference:.1g}.",
        )


def _named(paths: Sequence[Path], images: int, *, skip_broken: bool) -> dict[str, Source]:
    named = {
        text_of(path.stem): source_at(path, images=images, skip_broken=skip_broken)
        for path in paths
    }
    if len(named) != len(paths):
        names = sorted(text_of(path.stem) for path in paths)
        raise ClassifierError(
            f"--outliers: received the names {', '.join(names)}, expected no duplicates"
        )
    return named


def _checked(kind: TypeAdapter[str], text: str, option: str) -> str:
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        raise ClassifierError(describe_error(error.errors()[0], option)) from error


def _triple(text: str, option: str) -> Triple:
    """Parse `r,g,b`, or one number for all three channels."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in {1, 3}:
        raise ClassifierError(
            f"{option} is {text!r}, expected one number or three such as 0.5,0.4,0.3"
        )
    red, green, blue = values * (3 // len(values))
    return red, green, blue
