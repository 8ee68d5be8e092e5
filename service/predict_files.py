"""Predict image files without a server, for `oodguard predict` and `oodguard verify`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from oodguard.models.bundle import Bundle
from oodguard.models.errors import ImageError
from oodguard.models.false_discovery import at_false_discovery_rate, parse_rate
from oodguard.models.names import escape_control_characters, text_of
from oodguard.models.reasons import Size
from oodguard.models.verdicts import Verdict
from oodguard.service import responses
from oodguard.service.images.decode import decode_image
from oodguard.service.images.header import EncodedImage
from oodguard.service.inference.model import LoadedModel
from oodguard.service.settings import Settings
from oodguard.sources.special_file import is_special

PIPE_WIDTH = 1000
"""The largest width of the table where the output is no terminal."""

_STYLES = {"accept": "green", "reject": "bold red"}


def predict_files(
    model: LoadedModel, paths: Sequence[Path], settings: Settings, fdr: float | None = None
) -> tuple[list[tuple[Path, Verdict]], list[tuple[Path, str]]]:
    """Predict every file that can be decoded.

    With `fdr`, all images are decided together at this false-discovery rate.

    Returns:
        The files with their verdicts, and the failed files with the reason, each in the given
        order.
    """
    images: list[NDArray[np.uint8]] = []
    sizes: list[Size] = []
    found: list[Path] = []
    failed: list[tuple[Path, str]] = []
    spec = model.bundle.manifest.input
    for path in paths:
        if is_special(path):
            failed.append((path, "the path is a pipe or a device, expected an image file"))
            continue
        try:
            encoded = EncodedImage(data=path.read_bytes())
            image = decode_image(encoded, spec, max_pixels=settings.max_pixels)
        except IsADirectoryError:
            failed.append((path, f"the path is a folder, expected images, such as {path}/*.jpg"))
        except OSError as error:
            failed.append((path, error.strerror or str(error)))
        except ImageError as error:
            failed.append((path, str(error)))
        else:
            found.append(path)
            images.append(image)
            sizes.append((encoded.header.width, encoded.header.height))
    if not images:
        return [], failed
    stacked = np.stack(images)
    verdicts = model.guard.predict(stacked)
    if fdr is not None:
        column = model.bundle.manifest.scores.index(model.guard.policy.score)
        verdicts = at_false_discovery_rate(verdicts, fdr, column=column)
    verdicts = model.guard.explain(verdicts, stacked, sizes)
    return list(zip(found, verdicts, strict=True)), failed


def rate_of(text: str, model: LoadedModel) -> float:
    """Return the false-discovery rate of the option `--fdr`.

    Raises:
        CalibrationError: The rate is invalid, or no image could be rejected at it.
    """
    return parse_rate("--fdr", text, model.guard.thresholds.n)


def print_table(
    model: LoadedModel, predicted: Sequence[tuple[Path, Verdict]], fdr: float | None = None
) -> None:
    """Print one row for each file."""
    policy = model.guard.policy
    rule = f"rejected if {policy.score} > {_threshold(model, '.4g')}"
    if fdr is not None:
        rule = f"rejected at the false-discovery rate {fdr:g} by the p-values of {policy.score}"
    table = Table(caption=rule)
    table.add_column("file", overflow="fold")
    left = {"label", "decision", "reasons"}
    for name in ("label", "confidence", policy.score, "p-value", "decision", "reasons"):
        table.add_column(name, justify="left" if name in left else "right")
    for path, verdict in predicted:
        table.add_row(
            Text(escape_control_characters(text_of(path))),
            Text(escape_control_characters(verdict.label)),
            f"{verdict.confidence:.3f}",
            f"{verdict.scores[policy.score]:.4g}",
            f"{verdict.p_value:.4f}",
            Text(verdict.decision, _STYLES[verdict.decision]),
            Text(", ".join(reason.code for reason in verdict.reasons)),
        )
    console = Console(emoji=False)
    if not console.is_terminal:  # the name of a file remains in one line
        console.width = PIPE_WIDTH
    console.print(table)


def to_json(
    model: LoadedModel, predicted: Sequence[tuple[Path, Verdict]], fdr: float | None = None
) -> bytes:
    """Return the response body of POST /predict in UTF-8, with the file of each prediction."""
    body = {
        "model": responses.identity(model),
        "policy": responses.policy(model, fdr=fdr),
        "predictions": [{"file": text_of(path), **asdict(verdict)} for path, verdict in predicted],
    }
    return orjson.dumps(body, option=orjson.OPT_INDENT_2)


def _calibration(bundle: Bundle) -> str:
    """Return the number of images, of groups, and the version whose evaluation the card shows."""
    groups, record = bundle.rows.group_count, bundle.manifest.calibration
    text = f"{len(bundle.rows)} images"
    if groups is not None:
        text += f" in {groups} groups, which count"
    if record is not None:
        by = escape_control_characters(record.by)
        text += (
            f"; {record.created:%Y-%m-%d} by {by}, replaces version"
            f" {record.replaced_version}; evaluated with version {record.evaluated_version}"
        )
    return text


def print_summary(model: LoadedModel) -> None:
    """Print the properties of a verified bundle."""
    manifest, limitations = model.bundle.manifest, model.guard.limitations
    rows = {
        "bundle": f"{manifest.name} {manifest.version}",
        "sha256": model.bundle.sha256,
        "classes": ", ".join(manifest.classes),
        "input": f"{manifest.input.height} x {manifest.input.width}, {manifest.input.fit}",
        "scores": ", ".join(manifest.scores),
        "calibration": _calibration(model.bundle),
        "policy": ", ".join(_policy_text(model)),
        "threshold": _threshold(model, ".6g"),
        **({"limitations": "; ".join(limitations)} if limitations else {}),
        "providers": ", ".join(model.session.providers),
    }
    grid = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        grid.add_row(Text(name, "bold"), Text(value))
    Console(emoji=False).print(grid)


def _policy_text(model: LoadedModel) -> Iterator[str]:
    """Yield the score and each promise of the policy."""
    policy = model.guard.policy
    yield policy.score
    yield f"alpha {_rate(policy.alpha)}"
    yield f"delta {_rate(policy.delta)}"
    if policy.by_class:
        yield "by predicted class"
    if policy.under_attack is not None:
        attack = model.bundle.manifest.attack_text
        yield f"under attack at {policy.under_attack}/255 by {attack}"
    if policy.beta is not None:
        yield f"beta {policy.beta:g}"


def _rate(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:g}"


def _threshold(model: LoadedModel, form: str) -> str:
    threshold = model.guard.threshold
    return "that of the predicted class" if threshold is None else format(threshold, form)
