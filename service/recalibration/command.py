"""The steps of `oodguard calibrate`, and what it prints."""

from pathlib import Path

from rich.table import Table
from rich.text import Text

from oodguard.command_line.output import message, print_json, table_console, warn
from oodguard.command_line.progress import progress, stages
from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.errors import BundleError
from oodguard.models.names import escape_control_characters, text_of
from oodguard.models.versions import new_version
from oodguard.service.inference.model import configured_policy, errors_with_folder
from oodguard.service.inference.session import ModelSession
from oodguard.service.recalibration.comparison import CalibrationComparison
from oodguard.service.recalibration.inputs import OPTIONS, list_images
from oodguard.service.recalibration.recalibrate import (
    Recalibrated,
    check_output,
    recalibrate,
)
from oodguard.service.settings import Settings, variable
from oodguard.service.telemetry.logs import silence_decoders
from oodguard.sources.classes import describe_positions
from oodguard.sources.source_options import source_options


def run(  # noqa: PLR0913 - the options of the command
    settings: Settings,
    *,
    data: Path,
    out: Path,
    version: str | None,
    by: str | None,
    group: str | None,
    group_across_classes: bool,
    images: int | None,
    labels: bool,
    skip_broken: bool,
    image_column: str | None,
    label_column: str | None,
    as_json: bool,
) -> None:
    """Write the bundle, and print the comparison with the older calibration.

    Raises:
        GuardError: The bundle or the images are invalid; nothing is written.
    """
    silence_decoders()
    check_output(out)
    with errors_with_folder(settings.bundle):
        bundle = open_bundle(settings.bundle)
        chosen = new_version(version, bundle.manifest)
        policy = configured_policy(bundle, settings)
        if policy.score not in bundle.manifest.scores:
            raise BundleError(
                f"{variable('score')} is {policy.score!r}, expected one of"
                f" {', '.join(bundle.manifest.scores)}, the scores of {bundle.manifest.name}"
            )
        session = _session(bundle, settings)
    with source_options(OPTIONS):
        with stages("listing the images"):
            listed = list_images(
                data,
                bundle.manifest.classes,
                images=images,
                labels=labels,
                group=group,
                group_across_classes=group_across_classes,
                skip_broken=skip_broken,
                image_column=image_column,
                label_column=label_column,
            )
        _echo(str(listed.listing))
        if not labels and listed.listing.classes:
            _echo("No labels are used (--no-labels)")
        if listed.unlabelled:
            _echo(f"No labels are used: {listed.unlabelled:,} of the images have none")
        if listed.number_of is not None and (
            pairs := describe_positions(
                bundle.manifest.classes, listed.listing.classes, name=str(data)
            )
        ):
            _echo(pairs)
        with progress("calibrating", len(listed.listing)) as advance:
            done = recalibrate(
                bundle,
                session.run,
                listed,
                policy=policy,
                out=out,
                version=chosen,
                by=by,
                advance=advance,
            )
    for warning in (*done.comparison.warnings, *done.notes):
        warn(f"{warning}.")
    if as_json:
        print_json(_json(bundle, done, out))
    else:
        _print(bundle, done, out, by_class=policy.by_class)


def _session(bundle: Bundle, settings: Settings) -> ModelSession:
    return ModelSession(
        bundle.model,
        bundle.manifest,
        device=settings.device,
        threads=settings.threads,
        threads_per_run=settings.threads_per_run,
        max_batch=settings.max_batch,
    )


def _print(older: Bundle, done: Recalibrated, out: Path, *, by_class: bool) -> None:
    comparison, newer = done.comparison, done.bundle
    record = newer.manifest.calibration
    table = Table("", f"version {older.manifest.version}", f"version {newer.manifest.version}")
    for name, before, after in _rows(older, newer, comparison, by_class=by_class):
        table.add_row(name, before, after)
    console = table_console()
    console.print(table)
    test = comparison.distribution
    _echo(
        f"Kolmogorov-Smirnov distance of the scores {test.distance:.3f} (p {test.p_value:.2g}); p"
        f" of too many large scores {comparison.tail:.2g}"
    )
    units = "images" if newer.rows.groups is None else "groups"
    for share, lowest in comparison.lowest.items():
        if lowest is not None:
            _echo(f"Threshold if {share:.0%} of the {units} were outliers: at least {lowest:.6g}")
    _echo("Largest scores, to look at:")
    for name, score in done.largest:
        console.print(Text(f"  {score:.6g}  {escape_control_characters(name)}"), soft_wrap=True)
    if record is not None and record.copies:
        _echo(f"Left out: {record.copies:,} images with the pixels of another")
    _echo(f"Wrote {out}: {newer.manifest.name} {newer.manifest.version}, sha256 {newer.sha256}")


def _json(older: Bundle, done: Recalibrated, out: Path) -> dict[str, object]:
    newer = done.bundle
    names = {"name": newer.manifest.name, "version": newer.manifest.version}
    return {
        "folder": text_of(out),
        "model": {**names, "sha256": newer.sha256},
        "replaced": {"version": older.manifest.version, "sha256": older.sha256},
        "calibration": newer.manifest.calibration,
        "comparison": done.comparison,
        "largest": [{"image": name, "score": score} for name, score in done.largest],
        "notes": done.notes,
    }


def _rows(
    older: Bundle, newer: Bundle, found: CalibrationComparison, *, by_class: bool
) -> list[tuple[str, str, str]]:
    return [
        ("calibration", _size(older), _size(newer)),
        (
            "common threshold" if by_class else "threshold",
            "unknown" if found.older is None else f"{found.older:.6g}",
            f"{found.newer:.6g}",
        ),
        (
            f"rejects of the older images{_mean(older)}",
            "" if found.older_at_older is None else f"{found.older_at_older:.2%}",
            f"{found.older_at_newer:.2%}",
        ),
        (
            f"rejects of the new images{_mean(newer)}",
            "" if found.newer_at_older is None else f"{found.newer_at_older:.2%}",
            f"{found.newer_at_newer:.2%}",
        ),
    ]


def _mean(bundle: Bundle) -> str:
    return "" if bundle.rows.groups is None else ", mean over the groups"


def _size(bundle: Bundle) -> str:
    text, groups = f"{len(bundle.rows):,} images", bundle.rows.group_count
    return text if groups is None else f"{text} in {groups:,} groups"


def _echo(text: str) -> None:
    message(escape_control_characters(text))
