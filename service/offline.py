"""Judging files without a server, through the same steps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from oodguard.models.errors import ImageError
from oodguard.models.verdicts import Verdict
from oodguard.service import responses as answers
from oodguard.service.images.decode import decode_image
from oodguard.service.images.header import EncodedImage
from oodguard.service.inference.model import LoadedModel
from oodguard.service.settings import Settings

STYLES = {"accept": "green", "reject": "bold red"}


def print_table(model: LoadedModel, judged: Sequence[tuple[Path, Verdict]]) -> None:
    """Print one row a file."""
    policy = model.guard.policy
    table = Table(caption=f"rejected when {policy.score} > {model.guard.threshold:.4g}")
    table.add_column("file", overflow="fold")
    for name in ("label", "confidence", policy.score, "p-value", "decision"):
        table.add_column(name, justify="left" if name in {"label", "decision"} else "right")
    for path, verdict in judged:
        table.add_row(
            Text(str(path)),
            Text(verdict.label),
            f"{verdict.confidence:.3f}",
            f"{verdict.scores[policy.score]:.4g}",
            f"{verdict.p_value:.4f}",
            Text(verdict.decision, STYLES[verdict.decision]),
        )
    Console().print(table)


def as_json_text(model: LoadedModel, judged: Sequence[tuple[Path, Verdict]]) -> str:
    """The answer of POST /predict, with each prediction's file."""
    predictions = answers.predictions(verdict for _, verdict in judged)
    answer = {
        "model": answers.identity(model),
        "policy": answers.policy(model),
        "predictions": [
            {"file": str(path), **prediction}
            for (path, _), prediction in zip(judged, predictions, strict=True)
        ],
    }
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode()


def print_summary(model: LoadedModel) -> None:
    """Print what a verified bundle is."""
    manifest, policy = model.bundle.manifest, model.guard.policy
    rows = {
        "bundle": f"{manifest.name} {manifest.version}",
        "sha256": model.bundle.sha256,
        "classes": ", ".join(manifest.classes),
        "input": f"{manifest.input.height} x {manifest.input.width}, {manifest.input.fit}",
        "scores": ", ".join(manifest.scores),
        "calibration": f"{len(model.bundle.calibration[policy.score])} images",
        "policy": f"{policy.score}, alpha {policy.alpha:g}, delta {_or_none(policy.delta)}",
        "threshold": f"{model.guard.threshold:.6g}",
        "providers": ", ".join(model.engine.providers),
    }
    grid = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        grid.add_row(Text(name, "bold"), Text(value))
    Console().print(grid)


def _or_none(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def judge_files(
    model: LoadedModel, paths: Sequence[Path], settings: Settings
) -> tuple[list[tuple[Path, Verdict]], list[tuple[Path, str]]]:
    """Judge every file that can be judged.

    Returns:
        The files with their verdicts, and the refused files with the reason, in the order given.
    """
    pixels: list[tuple[Path, NDArray[np.uint8]]] = []
    refused: list[tuple[Path, str]] = []
    spec = model.bundle.manifest.input
    for path in paths:
        try:
            encoded = EncodedImage(data=path.read_bytes())
            image = decode_image(encoded, spec, max_pixels=settings.max_pixels)
        except OSError as error:
            refused.append((path, error.strerror or str(error)))
        except ImageError as error:
            refused.append((path, str(error)))
        else:
            pixels.append((path, image))
    if not pixels:
        return [], refused
    verdicts = model.guard.predict(np.stack([image for _, image in pixels]))
    return [(path, verdict) for (path, _), verdict in zip(pixels, verdicts, strict=True)], refused
