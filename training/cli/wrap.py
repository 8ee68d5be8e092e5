"""The command `oodguard-train wrap`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import TypeAdapter, ValidationError
from rich.markdown import Markdown

from oodguard.models.decision import Policy
from oodguard.models.errors import ClassifierError
from oodguard.models.manifest import BundleName, BundleVersion, InputSpec
from oodguard.training.cli.progress import Threads, console, settings
from oodguard.training.config.sources import Source
from oodguard.training.wrap.classifier import read_original_classifier
from oodguard.training.wrap.input import Layout, PixelTransform, Triple, infer_layout, infer_size
from oodguard.training.wrap.output import OutputKind, read_classes
from oodguard.training.wrap.report import CHANCE_WARNING, wrapped_figures
from oodguard.training.wrap.wrap import WrapOptions
from oodguard.training.wrap.wrap import wrap as run_wrap

NAME = TypeAdapter(BundleName)

VERSION = TypeAdapter(BundleVersion)


def wrap(  # noqa: PLR0913  (each is an option of the command)
    classifier: Annotated[Path, typer.Argument(help="An ONNX file of a classifier.")],
    data: Annotated[
        Path, typer.Option(help="Labelled images that it was not trained on: a folder or Parquet.")
    ],
    out: Annotated[Path, typer.Option(help="The bundle's folder, replaced if it is a bundle.")],
    classes: Annotated[
        Path | None,
        typer.Option(help="Class names, one a line, in the outputs' order; default: the data's."),
    ] = None,
    outliers: Annotated[
        list[Path] | None, typer.Option(help="Out-of-distribution images to measure; repeatable.")
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="At most, from each set.")] = 4000,
    scale: Annotated[float, typer.Option(help="What the pixels 0 to 255 are divided by.")] = 255.0,
    mean: Annotated[str, typer.Option(metavar="R,G,B", help="Subtracted after that.")] = "0,0,0",
    std: Annotated[str, typer.Option(metavar="R,G,B", help="Divided by after that.")] = "1,1,1",
    layout: Annotated[
        Layout | None, typer.Option(help="Of the input; default: as its shape tells.")
    ] = None,
    height: Annotated[int | None, typer.Option(min=1, help="If the input takes any.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="If the input takes any.")] = None,
    fit: Annotated[
        Literal["crop", "stretch"], typer.Option(help="How other sizes are brought to this one.")
    ] = "crop",
    resample: Annotated[Literal["bicubic", "bilinear"], typer.Option()] = "bicubic",
    outputs: Annotated[
        OutputKind, typer.Option(help="What its last layer gives.")
    ] = OutputKind.LOGITS,
    input_name: Annotated[str | None, typer.Option(help="If there are several.")] = None,
    output_name: Annotated[str | None, typer.Option(help="If there are several.")] = None,
    score: Annotated[
        str | None, typer.Option(help="Decides; default: energy, of probabilities msp.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Largest share of false rejections.")] = 0.05,
    delta: Annotated[float, typer.Option(help="1 - confidence in alpha.")] = 0.05,
    name: Annotated[str | None, typer.Option(help="The bundle's; default: its folder's.")] = None,
    version: Annotated[str, typer.Option(help="The bundle's.")] = "1",
    threads: Threads = None,
) -> None:
    """Make a bundle of an ONNX classifier that exists: scores added, calibrated, NOT hardened."""
    with settings(threads):
        original = read_original_classifier(
            classifier, input_name=input_name, output_name=output_name
        )
        arranged = infer_layout(original.shape, layout)
        high, wide = infer_size(original.shape, arranged, height=height, width=width)
        wish = WrapOptions(
            name=_checked(NAME, name or out.name, "--name"),
            version=_checked(VERSION, version, "--version"),
            spec=InputSpec(height=high, width=wide, fit=fit, resample=resample),
            pixels=PixelTransform(
                layout=arranged,
                height=high,
                width=wide,
                scale=scale,
                mean=_triple(mean, "--mean"),
                std=_triple(std, "--std"),
                as_uint8=original.as_uint8,
            ),
            outputs=outputs,
            classes=read_classes(classes) if classes else None,
            policy=Policy(score=outputs.choose(score), alpha=alpha, delta=delta),
        )
        with console.status("reading") as status:
            wrapped = run_wrap(
                original,
                wish,
                data=_source(data, images),
                outliers=_named(outliers or (), images),
                out=out,
                tell=status.update,
            )
        console.print(Markdown(wrapped_figures(wrapped.report)))
        if wrapped.report.hardly_better_than_chance:
            console.print(f"warning: {CHANCE_WARNING}", style="yellow", soft_wrap=True)
        console.print(
            f"{out} written, not hardened; it answers as {classifier.name} on"
            f" {wrapped.agreement.images} images, largest difference"
            f" {wrapped.agreement.largest_difference:.1g}",
            highlight=False,
            soft_wrap=True,
        )


def _source(path: Path, images: int) -> Source:
    if path.is_dir():
        return Source(folder=path, images=images)
    return Source(parquet=path, images=images)


def _named(paths: Sequence[Path], images: int) -> dict[str, Source]:
    named = {path.stem: _source(path, images) for path in paths}
    if len(named) != len(paths):
        names = sorted(path.stem for path in paths)
        raise ClassifierError(f"--outliers: each name may come once; came {', '.join(names)}")
    return named


def _checked(kind: TypeAdapter[str], text: str, option: str) -> str:
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise ClassifierError(f"{option}: {text!r} came; {message}") from error


def _triple(text: str, option: str) -> Triple:
    """Read `r,g,b`, or one number for all three."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) not in {1, 3}:
        raise ClassifierError(f"{option}: {text!r} came; three numbers, as 0.5,0.4,0.3, are wanted")
    red, green, blue = found * (3 // len(found))
    return red, green, blue
