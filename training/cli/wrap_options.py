"""Parse the options of `wrap` that are written as text."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from oodguard.models.errors import ClassifierError
from oodguard.models.manifest import InputSpec
from oodguard.models.names import text_of
from oodguard.models.validation_errors import describe_error
from oodguard.sources.endings import is_table
from oodguard.sources.source import Source
from oodguard.training.wrap.form import InputForm
from oodguard.training.wrap.input import PRESETS, ChannelOrder, Normalization, Triple


def input_spec(rule: str, form: InputForm, resample: Literal["bicubic", "bilinear"]) -> InputSpec:
    """Parse `--resize`.

    Raises:
        ClassifierError: The rule is unknown or its number is invalid.
    """
    fit, _, number = rule.partition(":")
    key = {"crop": "resize", "letterbox": "fill"}.get(fit)
    details = {key: number} if key and number else {}
    if fit not in {"crop", "stretch", "letterbox"} or (number and not details):
        raise ClassifierError(
            f"--resize is {rule!r}, expected crop, crop:256, stretch, letterbox or letterbox:114"
        )
    try:
        return InputSpec.model_validate(
            {
                "height": form.height,
                "width": form.width,
                "fit": fit,
                "resample": resample,
                **details,
            }
        )
    except ValidationError as error:
        raise ClassifierError(f"--resize {rule}: {describe_error(error.errors()[0])}") from error


def normalization(  # noqa: PLR0913  (the options of the command)
    preset: str | None,
    channel_order: ChannelOrder | None,
    scale: float | None,
    mean: str | None,
    std: str | None,
    *,
    is_integer: bool,
) -> Normalization:
    """Return the preset with the options in place of its values.

    Raises:
        ClassifierError: An option is invalid.
    """
    if preset is not None and preset not in PRESETS:
        raise ClassifierError(f"--preset is {preset!r}, expected one of {', '.join(PRESETS)}")
    base = PRESETS[preset] if preset else Normalization(scale=1.0 if is_integer else 255.0)
    return Normalization(
        scale=base.scale if scale is None else scale,
        mean=base.mean if mean is None else _triple(mean, "--mean"),
        std=base.std if std is None else _triple(std, "--std"),
        channel_order=channel_order or base.channel_order,
    )


def check_columns(columns: Mapping[str, str | None], data: Path, fit: Path | None) -> None:
    """Check that columns, by the option that names them, are those of a table.

    Raises:
        ClassifierError: Neither `data` nor `fit` is a table.
    """
    tables = [path for path in (data, fit) if path and path.exists() and is_table(path)]
    for option, name in columns.items():
        if name and not tables:
            raise ClassifierError(
                f"{option} is {name!r}, expected none for {text_of(data)}, which is no table:"
                " the classes of a folder are its sub-folders"
            )


def named_sources(paths: Sequence[Path], source_at: Callable[[Path], Source]) -> dict[str, Source]:
    """Return the sources by the end of their path, with as many parts as make it unique.

    Raises:
        ClassifierError: A path is given twice.
    """
    whole = [path.resolve().with_suffix("").parts for path in paths]
    for count in range(1, max(map(len, whole), default=1) + 1):
        names = [text_of("-".join(parts[-count:])) for parts in whole]
        if len(set(names)) == len(names):
            break
    else:
        raise ClassifierError(
            f"--outliers: received {', '.join(map(str, paths))}, expected no duplicates"
        )
    return {name: source_at(path) for name, path in zip(names, paths, strict=True)}


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
