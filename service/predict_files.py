"""Predict image files without a server, for `oodguard predict` and `oodguard verify`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from oodguard.command_line.output import table_console
from oodguard.command_line.progress import track
from oodguard.models.bundle import Bundle
from oodguard.models.false_discovery import at_false_discovery_rate, parse_rate
from oodguard.models.names import escape_control_characters, text_of
from oodguard.models.reasons import missing_ranges
from oodguard.models.verdicts import Verdict
from oodguard.service import responses
from oodguard.service.inference.model import LoadedModel
from oodguard.service.scoring.pictures import decode_batch
from oodguard.service.settings import Settings


def predict_files(
    model: LoadedModel, paths: Sequence[Path], settings: Settings, fdr: float | None = None
) -> tuple[list[tuple[Path, Verdict]], list[tuple[Path, str]]]:
    """Predict every file that can be decoded.

    With `fdr`, all images are decided together at this false-discovery rate.

    Returns:
        The files with their verdicts, and the failed files with the reason, each in the given
        order.
    """
    decoded = decode_batch(
        track(paths, "reading"), model.bundle.manifest.input, max_pixels=settings.max_pixels
    )
    failed = [(paths[position], reason) for position, reason in decoded.errors.items()]
    if not len(decoded.images):
        return [], failed
    verdicts = model.guard.predict(decoded.images)
    if fdr is not None:
        column = model.bundle.manifest.scores.index(model.guard.policy.score)
        verdicts = at_false_discovery_rate(verdicts, fdr, column=column)
    verdicts = model.guard.explain(verdicts, decoded.images, decoded.sizes)
    found = (paths[position] for position in decoded.positions)
    return list(zip(found, verdicts, strict=True)), failed


def rate_of(text: str, model: LoadedModel) -> float:
    """Return the false-discovery rate of the option `--fdr`.

    Raises:
        CalibrationError: The rate is invalid, or no image could be rejected at it.
    """
    return parse_rate("--fdr", text, model.guard.thresholds.n)


def answer_of(
    model: LoadedModel, predicted: Sequence[tuple[Path, Verdict]], fdr: float | None = None
) -> responses.Json:
    """Return the response body of POST /predict, with the file of each prediction."""
    return {
        "model": responses.identity(model),
        "policy": responses.policy(model, fdr=fdr),
        "predictions": [{"file": text_of(path), **asdict(verdict)} for path, verdict in predicted],
    }


def summary_json(model: LoadedModel) -> responses.Json:
    """Return the properties of a verified bundle."""
    manifest, rows = model.bundle.manifest, model.bundle.rows
    return {
        "model": responses.identity(model),
        "policy": responses.policy(model),
        "classes": manifest.classes,
        "input": manifest.input,
        "scores": manifest.scores,
        "calibration": {
            "images": len(rows),
            "groups": rows.group_count,
            "record": manifest.calibration,
        },
        "limitations": model.guard.limitations,
        "reasons": model.guard.explainer.codes,
        "providers": model.session.providers,
    }


def _calibration(bundle: Bundle) -> str:
    """Return the number of images, of groups, and the version whose evaluation the card shows."""
    groups, record = bundle.rows.group_count, bundle.manifest.calibration
    text = f"{len(bundle.rows)} images"
    if groups is not None:
        text += f" in {groups} groups, each of which counts as one image"
    if record is not None:
        by = escape_control_characters(record.by)
        text += (
            f"; {record.created:%Y-%m-%d} by {by}, replaces version"
            f" {record.replaced_version}; evaluated with version {record.evaluated_version}"
        )
    return text


def _reasons(model: LoadedModel) -> str:
    """Return the reasons that a rejection can have, and why those of qualities are missing."""
    codes = ", ".join(model.guard.explainer.codes)
    missing = missing_ranges(model.bundle.rows)
    if missing is None:
        return codes
    return f"{codes}. Reasons of image quality, such as too_dark, are not available: {missing}"


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
        "reasons": _reasons(model),
        "providers": ", ".join(model.session.providers),
    }
    grid = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        grid.add_row(Text(name, "bold"), Text(value))
    table_console().print(grid)


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
