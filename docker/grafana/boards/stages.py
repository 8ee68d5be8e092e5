"""Panels: the stages of a request, from its admission to the run of its images."""

from docker.grafana.boards.heatmaps import heatmap
from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import (
    BY_MODEL,
    MODEL,
    SERVICE,
    WHOSE,
    Query,
    at_rest,
    mean,
    quantiles,
    rate,
)
from docker.grafana.boards.series import series

IN_FLIGHT = "oodguard_requests_in_flight"


def in_flight() -> Panel:
    """Requests that are being worked on."""
    about = About(
        title="Requests in flight, against the limit",
        text="Admitted and not answered. At the limit the service answers 429.",
        runbooks=("OODGuardSaturated", "OODGuardShedding"),
    )
    return series(
        about,
        Query(f"max by (instance) ({IN_FLIGHT}{{{SERVICE}}})", "{{instance}}"),
        Query(f"max by (instance) ({IN_FLIGHT}_limit{{{SERVICE}}})", "limit of {{instance}}"),
    )


def depth() -> Panel:
    """Images that wait."""
    about = About(
        title="Images that wait for the engine",
        text="A line that never touches 0: more comes than the engine can run.",
        runbooks=("OODGuardSaturated",),
    )
    waiting = f"sum by ({BY_MODEL}) (oodguard_queue_depth{{{MODEL}}})"
    return series(about, Query(waiting, WHOSE))


def waits() -> Panel:
    """How long they wait."""
    about = About(
        title="Wait for the engine",
        text="Of one request's images, decoded and not yet run.",
        unit="s",
        runbooks=("OODGuardSlow",),
    )
    return series(about, *quantiles("oodguard_queue_seconds", MODEL, BY_MODEL, WHOSE))


def skipped() -> Panel:
    """Work that was saved."""
    about = About(
        title="Images a second that were not run, by reason",
        text="Nobody waited for them any more: `gone` or `late`; or another part of their request "
        "had `failed`.",
        unit="ops",
        runbooks=("OODGuardShedding",),
    )
    dropped = rate("oodguard_skipped_images_total", MODEL, f"{BY_MODEL}, reason")
    return series(about, Query(at_rest(dropped, "reason"), f"{{{{reason}}}} {WHOSE}"))


def decodes() -> Panel:
    """How long decoding takes."""
    about = About(
        title="Decoding",
        text="Of one request's images. Raw pixels of the model's size need none.",
        unit="s",
        runbooks=("OODGuardSlow",),
    )
    return series(about, *quantiles("oodguard_decode_seconds", MODEL, BY_MODEL, WHOSE), width=24)


def runs() -> Panel:
    """How long the model takes."""
    about = About(
        title="One run of the model",
        text="Of one batch. Longer with as many images: another provider, or less processor.",
        unit="s",
        runbooks=("OODGuardSlow", "OODGuardProviderChanged"),
    )
    return series(about, *quantiles("oodguard_run_seconds", MODEL, BY_MODEL, WHOSE))


def run_spread() -> Panel:
    """All of the runs."""
    about = About(
        title="Runs of the model, by duration",
        text="Small batches are quick and large ones slow; a band that moves is a change.",
        unit="s",
        runbooks=("OODGuardSlow",),
    )
    return heatmap(about, "oodguard_run_seconds", MODEL)


def batches() -> Panel:
    """How many images are run together."""
    about = About(
        title="Images in one run of the model, mean",
        text="1 when there is time, more under load: what waits is run together.",
        runbooks=("OODGuardSaturated",),
    )
    return series(about, Query(mean("oodguard_batch_size", MODEL, BY_MODEL), WHOSE))


def busy() -> Panel:
    """How much the engine works."""
    about = About(
        title="Runs of the model at a time, mean",
        text="At most `OODGUARD_THREADS` / `OODGUARD_THREADS_PER_RUN`, by default one for each "
        "processor, and on a GPU one: near that the engine is the bottleneck.",
        runbooks=("OODGuardSaturated",),
    )
    running = rate("oodguard_run_seconds_sum", MODEL, f"instance, {BY_MODEL}")
    return series(about, Query(running, f"{{{{instance}}}} {WHOSE}"))
