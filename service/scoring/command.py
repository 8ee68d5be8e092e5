"""The steps of `oodguard score`, and what it prints."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from oodguard.command_line.output import print_json, table_console
from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.counts import count_of
from oodguard.models.errors import BundleError
from oodguard.models.false_discovery import parse_rate, required_at_smallest
from oodguard.models.names import escape_control_characters
from oodguard.models.policy_thresholds import limitations, policy_thresholds
from oodguard.service.errors import ScoringError
from oodguard.service.inference.int8 import INT8_WARNING, has_int8_dot_products, read_cpu_info
from oodguard.service.inference.model import configured_policy, errors_with_folder
from oodguard.service.inference.providers import CPU
from oodguard.service.scoring.contact_sheet import contact_sheet
from oodguard.service.scoring.name_list import remove_names
from oodguard.service.scoring.output import (
    NAMES_FILE,
    SHEET_FILE,
    SUMMARY_FILE,
    earlier_speed,
    open_output,
    start_or_continue,
    write_file,
)
from oodguard.service.scoring.part_scorer import CONTINUE, ScoringJob
from oodguard.service.scoring.plan import ScoringPlan, new_plan
from oodguard.service.scoring.progress import ScoringProgress
from oodguard.service.scoring.ray_run import LOCAL, prepare_ray, score_parts_on_ray
from oodguard.service.scoring.reader import SourceReader
from oodguard.service.scoring.run import score_parts
from oodguard.service.scoring.second_pass import decide_together
from oodguard.service.scoring.source import describe, list_pictures
from oodguard.service.scoring.summary import Summary, summarize
from oodguard.service.scoring.worker_pool import WorkerPool, worker_count
from oodguard.service.settings import Settings, variable
from oodguard.service.telemetry.logs import silence_decoders
from oodguard.sources.source_options import source_options

TABLE_ROWS = 20
"""The number of classes and errors in the printed tables."""


def run(  # noqa: PLR0913 - the options of the command
    settings: Settings,
    sources: Sequence[str],
    out: Path,
    *,
    fdr: str | None,
    image_column: str | None,
    engine: WorkerPool | str,
    as_json: bool,
) -> None:
    """Score a source, or continue an earlier run, and print the summary.

    Args:
        settings: The settings.
        sources: The source.
        out: The folder.
        fdr: The false-discovery rate.
        image_column: The column of pictures in tables.
        engine: Worker processes, or the address of a Ray.
        as_json: Whether the summary is printed as JSON.

    Raises:
        GuardError: The bundle, the source or the folder cannot be used.
    """
    silence_decoders()
    if isinstance(engine, str):
        prepare_ray(engine, settings.device)
    with errors_with_folder(settings.bundle):
        bundle = open_bundle(settings.bundle)
        policy = configured_policy(bundle, settings)
        if policy.score not in bundle.manifest.scores:
            raise BundleError(
                f"{variable('score')} is {policy.score!r}, expected one of"
                f" {', '.join(bundle.manifest.scores)}, the scores of {bundle.manifest.name}"
            )
        thresholds = policy_thresholds(bundle, policy)
    rate = None if fdr is None else parse_rate("--fdr", fdr, thresholds.n)
    for limitation in limitations(thresholds, bundle.manifest.classes):
        _echo(f"oodguard: warning: {limitation}")
    try:
        with open_output(out), source_options(["image_column"]):
            source = list_pictures(
                sources,
                out / NAMES_FILE,
                image_column=image_column,
                max_bytes=settings.max_body_bytes,
            )
            for line in describe(source):
                _echo(line)
            plan = new_plan(
                bundle,
                policy,
                thresholds.single,
                source,
                fdr=rate,
                max_pixels=settings.max_pixels,
                max_bytes=settings.max_body_bytes,
            )
            output = start_or_continue(out, plan)
            job = ScoringJob(
                plan=plan, source=source, bundle=settings.bundle, device=settings.device, out=out
            )
            missing = output.missing(plan.parts).tolist()
            seconds, images = _score(job, bundle, missing, settings, engine)
            if rate is not None:
                decide_together(output, plan, rate)
            summary = summarize(output, plan, bundle)
            if images or not (out / SHEET_FILE).exists():
                sheet = contact_sheet(plan, summary, SourceReader(source, plan.max_bytes))
                write_file(out / SHEET_FILE, sheet.encode())
            fields = {
                "model": plan.model.model_dump(),
                "policy": plan.policy.model_dump(),
                "fdr": rate,
                "source": list(plan.source),
                **summary.fields(),
                "shards": plan.parts,
                **(_speed(seconds, images) if images else earlier_speed(out)),
            }
            text = orjson.dumps(fields, option=orjson.OPT_INDENT_2)
            write_file(out / SUMMARY_FILE, text)
            remove_names(out / NAMES_FILE)
    except OSError as error:
        raise ScoringError(f"{out} cannot be written: {error.strerror}") from error
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(CONTINUE) from interrupt
    if as_json:
        print_json(fields)
    else:
        _print(plan, summary, out, thresholds.n)


def _speed(seconds: float, images: int) -> dict[str, float]:
    return {"seconds": round(seconds, 3), "images_per_second": round(images / seconds, 1)}


def _score(
    job: ScoringJob,
    bundle: Bundle,
    missing: Sequence[int],
    settings: Settings,
    engine: WorkerPool | str,
) -> tuple[float, int]:
    """Score the missing parts; return the seconds that this took, and the number of images."""
    plan = job.plan
    bounds = (plan.bounds(part) for part in missing)
    images = sum(stop - start for start, stop in bounds)
    if images < plan.images:
        _echo(f"continuing: {plan.images - images:,} of {plan.images:,} images are scored")
    started = time.monotonic()

    def warn(providers: Sequence[str]) -> None:
        is_int8 = bundle.manifest.precision == "int8" and providers[0] == CPU
        if is_int8 and not has_int8_dot_products(read_cpu_info()):
            _echo(f"oodguard: warning: {INT8_WARNING}")

    with ScoringProgress(plan.images, plan.images - images) as progress:
        if isinstance(engine, WorkerPool):
            score_parts(job, missing, pool=engine, on_images=progress.advance, on_ready=warn)
        else:
            warn([CPU])
            is_counted = engine == LOCAL or settings.workers != "auto"
            score_parts_on_ray(
                job,
                missing,
                address=engine,
                workers=worker_count(settings) if is_counted else None,
                on_images=progress.advance,
            )
    return time.monotonic() - started, images


def _print(plan: ScoringPlan, summary: Summary, out: Path, n: int) -> None:
    """Print the summary; `n` is the number of independent calibration images."""
    console = table_console()
    share = f" ({summary.rejected / summary.scored:.2%})" if summary.scored else ""
    lines = [f"{summary.scored:,} images scored, {summary.rejected:,} rejected{share}"]
    if plan.fdr is not None:
        lines.append(f"decided together at the false-discovery rate {plan.fdr:g}")
        if summary.scored and not summary.rejected:
            required = required_at_smallest(summary.scored, plan.fdr, n)
            lines.append(
                f"none is rejected: at this rate, {required:,} of {summary.scored:,} images must"
                f" have the smallest p-value, 1 / {n + 1:,}, or more of them a larger one. Divide"
                " the source, calibrate with more images, or use the policy (without --fdr)"
            )
    if summary.errors:
        failed = sum(summary.errors.values())
        lines.append(f"{count_of(failed, 'picture')} could not be decoded")
    if summary.drift is not None:
        drift = summary.drift
        lines.append(
            f"{plan.policy.score} against the calibration images: Kolmogorov-Smirnov distance"
            f" {drift.distance:.3f} (p {drift.p_value:.2g}); p of too many large scores"
            f" {drift.tail_p_value:.2g}"
        )
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    _table(
        console,
        ("class", "images", "rejected", "share"),
        [
            (name, f"{images:,}", f"{rejected:,}", f"{rejected / images:.2%}")
            for name, (images, rejected) in sorted(
                summary.by_class.items(), key=lambda each: -each[1][1]
            )
        ],
    )
    reasons = [(name, f"{count:,}") for name, count in summary.by_reason.items()]
    _table(console, ("reason", "rejected"), reasons)
    _table(console, ("error", "pictures"), [(k, f"{n:,}") for k, n in summary.errors.items()])
    console.print(Text(f"Verdicts: {out}{os.sep}part-*.parquet"), soft_wrap=True)
    console.print(Text(f"Worst pictures: {out / SHEET_FILE}"), soft_wrap=True)


def _table(console: Console, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    table = Table()
    for at, name in enumerate(names):
        table.add_column(name, justify="right" if at else "left", overflow="fold")
    for row in rows[:TABLE_ROWS]:
        table.add_row(*(Text(escape_control_characters(each)) for each in row))
    console.print(table)
    if len(rows) > TABLE_ROWS:
        console.print(f"and {len(rows) - TABLE_ROWS} more")


def _echo(text: str) -> None:
    typer.echo(escape_control_characters(text), err=True)
