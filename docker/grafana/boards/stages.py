"""Panels of the stages of a request, from its admission to the run of its images."""

from docker.grafana.boards.kinds import heatmap, series
from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import (
    BY_MODEL,
    MODEL,
    SERVICE,
    VERSION,
    Query,
    mean,
    quantiles,
    rate,
)

IN_FLIGHT = "oodguard_requests_in_flight"


def in_flight() -> Panel:
    """Requests in flight."""
    about = About(
        title="Requests in flight, against the limit",
        text="Admitted requests that are not yet answered. At the limit the service responds "
        "with 429.",
        runbooks=("OODGuardSaturated", "OODGuardShedding"),
    )
    return series(
        about,
        Query(f"max by (instance) ({IN_FLIGHT}{{{SERVICE}}})", "{{instance}}"),
        Query(f"max by (instance) ({IN_FLIGHT}_limit{{{SERVICE}}})", "limit of {{instance}}"),
    )


def depth() -> Panel:
    """Depth of the queue."""
    about = About(
        title="Images that wait for the engine",
        text="A line that never reaches 0: more images arrive than the engine can run.",
        runbooks=("OODGuardSaturated",),
    )
    waiting = f"sum by ({BY_MODEL}) (oodguard_queue_depth{{{MODEL}}})"
    return series(about, Query(waiting, VERSION))


def waits() -> Panel:
    """Time in the queue."""
    about = About(
        title="Time in the queue",
        text="Of one request, from decoding to its run.",
        unit="s",
        runbooks=("OODGuardSlow",),
    )
    return series(about, *quantiles("oodguard_queue_seconds", MODEL, BY_MODEL, VERSION))


def skipped() -> Panel:
    """Images dropped from the queue."""
    about = About(
        title="Images dropped from the queue per second, by reason",
        text="`gone`: the client disconnected. `late`: past the deadline. `failed`: another "
        "part of the request failed.",
        unit="ops",
        runbooks=("OODGuardShedding",),
    )
    dropped = rate("oodguard_skipped_images_total", MODEL, f"{BY_MODEL}, reason")
    return series(about, Query(dropped, f"{{{{reason}}}} {VERSION}"))


def decodes() -> Panel:
    """Time to decode."""
    about = About(
        title="Decoding",
        text="Of the images of one request. Raw pixels of the model's size need no decoding.",
        unit="s",
        runbooks=("OODGuardSlow",),
    )
    return series(about, *quantiles("oodguard_decode_seconds", MODEL, BY_MODEL, VERSION), width=24)


def runs() -> Panel:
    """Quantiles of the run time."""
    about = About(
        title="One run of the model",
        text="Of one batch. Longer at the same batch size: another execution provider, or less "
        "CPU time.",
        unit="s",
        runbooks=("OODGuardSlow", "OODGuardProviderChanged"),
    )
    return series(about, *quantiles("oodguard_run_seconds", MODEL, BY_MODEL, VERSION))


def run_spread() -> Panel:
    """Distribution of the run time."""
    about = About(
        title="Runs of the model, by duration",
        text="Small batches are fast and large ones slow; a moving band is a change.",
        unit="s",
        runbooks=("OODGuardSlow",),
    )
    return heatmap(about, "oodguard_run_seconds", MODEL)


def batches() -> Panel:
    """Mean batch size."""
    about = About(
        title="Images per run of the model, mean",
        text="1 at low load, more at high load: waiting images are batched.",
        runbooks=("OODGuardSaturated",),
    )
    return series(about, Query(mean("oodguard_batch_size", MODEL, BY_MODEL), VERSION))


def busy() -> Panel:
    """Utilization of the engine."""
    about = About(
        title="Concurrent runs of the model, mean",
        text="At most `OODGUARD_THREADS` / `OODGUARD_THREADS_PER_RUN`: by default one per CPU, "
        "and one on a GPU. Near that the engine is the bottleneck.",
        runbooks=("OODGuardSaturated",),
    )
    running = rate("oodguard_run_seconds_sum", MODEL, f"instance, {BY_MODEL}")
    return series(about, Query(running, f"{{{{instance}}}} {VERSION}"))
