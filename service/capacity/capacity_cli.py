"""The command `oodguard capacity`: replicas, CPU time and memory for a rate of verdicts."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from oodguard.command_line.output import json_option, print_json
from oodguard.models.names import escape_control_characters
from oodguard.service.errors import CapacityOptionError

if TYPE_CHECKING:
    from oodguard.service.capacity.costs import Costs, ModelCosts, PictureCost
    from oodguard.service.capacity.plan import CapacityPlan

T = TypeVar("T")

SECONDS_A_DAY = 86_400

MAX_RATE = 1e9
"""Verdicts per second: more than any fleet."""


def capacity(  # noqa: PLR0913 - options
    rate: Annotated[
        float | None, typer.Option(help="Verdicts per second, at the peak.", show_default=False)
    ] = None,
    per_day: Annotated[
        float | None,
        typer.Option(
            help="Verdicts per day, evenly spread; instead of --rate.", show_default=False
        ),
    ] = None,
    p99_ms: Annotated[
        float, typer.Option(help="Limit on the response time of 99 % of the requests.")
    ] = 20.0,
    model: Annotated[str, typer.Option(help="Bundle of the costs.")] = "cifar10-aloe",
    picture: Annotated[
        str, typer.Option(help="Pictures of the costs: png-32, or a file that was measured.")
    ] = "png-32",
    cpus: Annotated[int, typer.Option(min=1, max=1024, help="CPUs of each replica.")] = 4,
    costs: Annotated[
        Path | None,
        typer.Option(
            help="Costs that were measured on your machine.", show_default="the packaged ones"
        ),
    ] = None,
    as_json: Annotated[
        bool,
        json_option(
            *("model", "picture", "p99_limit_ms", "picture_bytes", "picture_width"),
            *("picture_height", "rate", "replicas", "cpus", "load", "busy", "p99_ms"),
            *("model_p99_ms", "p99_factor", "rate_per_cpu", "saturated_rate_per_cpu"),
            *("cpu_s_per_million", "saturated_cpu_s_per_million", "cpu_hours_per_day"),
            *("memory_bytes", "per_day", "machine"),
        ),
    ] = False,
) -> None:
    """Calculate replicas, CPU time and memory for a rate of single pictures."""
    per_second = _rate(rate, per_day)
    _require("--p99-ms", p99_ms, 3_600_000.0)
    # Not before `serve` has set the number of threads of NumPy.
    from oodguard.service.capacity.costs import read_costs  # noqa: PLC0415
    from oodguard.service.capacity.plan import plan  # noqa: PLC0415

    known = read_costs(costs)
    of_model = _choose("--model", known.models, model)
    cost = _choose("--picture", of_model.pictures, picture)
    found = plan(of_model, cost, rate=per_second, p99_ms=p99_ms, cpus_per_replica=cpus)
    if as_json:
        asked = {
            "model": model,
            "picture": picture,
            "p99_limit_ms": p99_ms,
            "picture_bytes": cost.bytes,
            "picture_width": cost.width,
            "picture_height": cost.height,
        }
        day = {"per_day": found.rate * SECONDS_A_DAY, "machine": dict(known.machine)}
        print_json({**asked, **asdict(found), **day})
    else:
        typer.echo(_text(found, known, of_model, picture))


def _rate(rate: float | None, per_day: float | None) -> float:
    if (rate is None) == (per_day is None):
        raise CapacityOptionError("expected one of --rate and --per-day")
    if rate is not None:
        return _require("--rate", rate, MAX_RATE)
    assert per_day is not None  # noqa: S101 - for the type checker
    return _require("--per-day", per_day, MAX_RATE * SECONDS_A_DAY) / SECONDS_A_DAY


def _require(option: str, value: float, most: float) -> float:
    if not (math.isfinite(value) and 0 < value <= most):
        raise CapacityOptionError(
            f"{option} is {value:g}, expected a number above 0, at most {most:g}"
        )
    return value


def _choose(option: str, choices: Mapping[str, T], name: str) -> T:
    if name not in choices:
        raise CapacityOptionError(
            f"{option} is {escape_control_characters(name)}, expected one of {', '.join(choices)}."
            " Measure others: docs/capacity.md#measured-costs"
        )
    return choices[name]


def _text(found: "CapacityPlan", costs: "Costs", model: "ModelCosts", picture: str) -> str:
    rows = {
        "rate": f"{_number(found.rate)} verdicts per second,"
        f" {_number(found.rate * SECONDS_A_DAY)} per day",
        "picture": _picture(picture, model.pictures[picture]),
        "replicas": f"{found.replicas:,} with {found.cpus // found.replicas} CPUs each:"
        f" {found.cpus:,} CPUs. Add one for updates and failures",
        "p99": _response_time(found, model),
        "load": f"{_number(100 * found.load)}% of the largest rate; CPUs are busy for"
        f" {_number(100 * found.busy)}% of the time, because small batches are less efficient",
        "one CPU": f"{found.rate_per_cpu:,.0f} verdicts per second within the limit,"
        f" {found.saturated_rate_per_cpu:,.0f} at any response time",
        "CPU time": f"{found.cpu_s_per_million:,.0f} s per million verdicts,"
        f" {found.saturated_cpu_s_per_million:,.0f} s in full batches;"
        f" {_number(found.cpu_hours_per_day)} CPU hours per day",
        "memory": f"{found.memory_bytes / 2**20:,.0f} MiB when idle; limits: docs/deploy.md#memory",
        "measured": f"{costs.machine.get('CPU', 'unknown CPU')},"
        f" {costs.machine.get('measured', 'unknown date')}; {costs.command}",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())


def _number(value: float) -> str:
    """Return a number with three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _picture(name: str, cost: "PictureCost") -> str:
    if cost.bytes is None or cost.width is None or cost.height is None:
        return name
    return f"{name}: {cost.bytes:,} bytes, {cost.width} x {cost.height} pixels"


def _response_time(found: "CapacityPlan", model: "ModelCosts") -> str:
    if found.p99_factor is None:
        return (
            f"at least {found.p99_ms:.1f} ms: a lower bound, because these costs have no check by a"
            " load test (docs/capacity.md#check-by-a-load-test)"
        )
    return (
        f"{found.p99_ms:.1f} ms: {found.model_p99_ms:.1f} ms calculated, times"
        f" {found.p99_factor:.1f}, the largest ratio that a load test with"
        f" {model.checks[0].picture} measured up to this load"
    )
