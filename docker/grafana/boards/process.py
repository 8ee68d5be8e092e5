"""Panels: what runs where, and how the process does."""

from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import MODEL, SERVICE, Query, at_rest
from docker.grafana.boards.series import series
from docker.grafana.boards.tables import table


def providers() -> Panel:
    """Where models run, over time."""
    about = About(
        title="Bundles served, by provider",
        text="A step from one provider to another: the device was lost, or is back.",
        runbooks=("OODGuardProviderChanged",),
    )
    served = f"count by (provider) (oodguard_bundle_info{{{MODEL}}})"
    return series(about, Query(served, "{{provider}}"))


def builds() -> Panel:
    """The release."""
    about = About(
        title="Releases that run",
        text="Of OOD Guard and ONNX Runtime.",
        runbooks=("OODGuardProviderChanged",),
    )
    running = f"max by (instance, version, onnxruntime) (oodguard_build_info{{{SERVICE}}})"
    return table(about, running, hidden=["Value"])


def reloads() -> Panel:
    """What came of reloads."""
    about = About(
        title="Bundles looked at by reloads, by outcome",
        text="In 10 minutes. `refused`: the one before goes on serving, and the log says why.",
        runbooks=("OODGuardModelChanged",),
    )
    looked_at = f"sum by (outcome) (increase(oodguard_reloads_total{{{SERVICE}}}[10m]))"
    return series(about, Query(at_rest(looked_at, "outcome"), "{{outcome}}"))


def cpu() -> Panel:
    """Processor time."""
    about = About(
        title="Processors in use",
        text="2 is two processors all the time.",
        runbooks=("OODGuardSlow",),
    )
    used = f"rate(process_cpu_seconds_total{{{SERVICE}}}[$__rate_interval])"
    return series(about, Query(f"sum by (instance) ({used})", "{{instance}}"))


def memory() -> Panel:
    """Memory."""
    about = About(
        title="Memory",
        text="Resident is what counts against the container's limit; mapped is only addresses.",
        unit="bytes",
        runbooks=("OODGuardDown",),
    )
    return series(
        about,
        *_each("process_resident_memory_bytes", "resident"),
        *_each("process_virtual_memory_bytes", "mapped"),
    )


def files() -> Panel:
    """File descriptors."""
    about = About(
        title="Open file descriptors, against the limit",
        text="Each connection takes one.",
        runbooks=("OODGuardDown",),
    )
    return series(about, *_each("process_open_fds", "open"), *_each("process_max_fds", "limit of"))


def age() -> Panel:
    """How long it has run."""
    about = About(
        title="Time since the process began",
        text="Back to 0: it was started anew.",
        unit="s",
        runbooks=("OODGuardDown",),
    )
    started = f"time() - max by (instance) (process_start_time_seconds{{{SERVICE}}})"
    return series(about, Query(started, "{{instance}}"))


def keys() -> Panel:
    """What came of reading the keys again."""
    about = About(
        title="Keys read again, by outcome",
        text="In 10 minutes. `refused`: those before stay in force, and the log says why.",
    )
    read = f"sum by (outcome) (increase(oodguard_keys_read_total{{{SERVICE}}}[10m]))"
    return series(about, Query(at_rest(read, "outcome"), "{{outcome}}"))


def _each(metric: str, legend: str) -> list[Query]:
    shown = f"max by (instance) ({metric}{{{SERVICE}}})"
    return [Query(shown, f"{legend} {{{{instance}}}}")]
