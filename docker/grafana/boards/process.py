"""Panels of the served bundles, the releases and the process."""

from docker.grafana.boards.kinds import series, table
from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import MODEL, SERVICE, Query


def providers() -> Panel:
    """Execution providers over time."""
    about = About(
        title="Served bundles, by provider",
        text="A step between providers: the device was lost, or is available again.",
        runbooks=("OODGuardProviderChanged",),
    )
    served = f"count by (provider) (oodguard_bundle_info{{{MODEL}}})"
    return series(about, Query(served, "{{provider}}"))


def builds() -> Panel:
    """Running releases."""
    about = About(
        title="Running releases",
        text="Versions of OOD Guard and ONNX Runtime.",
        runbooks=("OODGuardProviderChanged",),
    )
    running = f"max by (instance, version, onnxruntime) (oodguard_build_info{{{SERVICE}}})"
    return table(about, running, hidden=["Value"])


def reloads() -> Panel:
    """Outcomes of reloads."""
    about = About(
        title="Bundles checked by reloads, by outcome",
        text="In 10 minutes. `refused`: the previous bundle is served; the log has the reason.",
        runbooks=("OODGuardBundleRefused", "OODGuardModelChanged"),
    )
    checked = f"sum by (outcome) (increase(oodguard_reloads_total{{{SERVICE}}}[10m]))"
    return series(about, Query(checked, "{{outcome}}"))


def refused_files() -> Panel:
    """Files that the last reload refused."""
    about = About(
        title="Refused files",
        text="1 from a refused reload until one succeeds: `keys` are the API keys, `unknown` is a "
        "bundle that was never served.",
        runbooks=("OODGuardBundleRefused", "OODGuardKeysRefused"),
        alarm=1,
    )
    # 0 from a refused reload on.
    models = f"1 - min by (instance, model) (oodguard_last_reload_successful{{{SERVICE}}})"
    keys = f"1 - min by (instance) (oodguard_keys_last_reload_successful{{{SERVICE}}})"
    return series(
        about, Query(models, "{{model}} of {{instance}}"), Query(keys, "keys of {{instance}}")
    )


def cpu() -> Panel:
    """CPU usage."""
    about = About(
        title="CPU usage",
        text="2 means two CPUs in constant use.",
        runbooks=("OODGuardSlow",),
    )
    used = f"rate(process_cpu_seconds_total{{{SERVICE}}}[$__rate_interval])"
    return series(about, Query(f"sum by (instance) ({used})", "{{instance}}"))


def memory() -> Panel:
    """Memory."""
    about = About(
        title="Memory",
        text="Resident memory counts towards the limit of the container; virtual memory is "
        "address space only.",
        unit="bytes",
        runbooks=("OODGuardDown",),
    )
    return series(
        about,
        *_each("process_resident_memory_bytes", "resident"),
        *_each("process_virtual_memory_bytes", "virtual"),
    )


def files() -> Panel:
    """File descriptors."""
    about = About(
        title="Open file descriptors, against the limit",
        text="Each connection uses one.",
        runbooks=("OODGuardDown",),
    )
    return series(about, *_each("process_open_fds", "open"), *_each("process_max_fds", "limit of"))


def age() -> Panel:
    """Uptime of the process."""
    about = About(
        title="Uptime",
        text="A drop to 0 is a restart.",
        unit="s",
        runbooks=("OODGuardRestarts", "OODGuardDown"),
    )
    started = f"time() - max by (instance) (process_start_time_seconds{{{SERVICE}}})"
    return series(about, Query(started, "{{instance}}"))


def workers() -> Panel:
    """Worker processes and their replacements."""
    about = About(
        title="Worker processes",
        text="Those that serve requests, and in 30 minutes those that ended unexpectedly and were "
        "replaced.",
        runbooks=("OODGuardRestarts",),
    )
    replaced = f"increase(oodguard_workers_replaced_total{{{SERVICE}}}[30m])"
    return series(
        about,
        *_each("oodguard_workers", "serving in"),
        Query(f"sum by (instance) ({replaced})", "replaced in {{instance}}"),
    )


def keys() -> Panel:
    """Outcomes of API key reloads."""
    about = About(
        title="API key reloads, by outcome",
        text="In 10 minutes. `refused`: the previous keys stay active; the log has the reason.",
        runbooks=("OODGuardKeysRefused",),
    )
    read = f"sum by (outcome) (increase(oodguard_keys_read_total{{{SERVICE}}}[10m]))"
    return series(about, Query(read, "{{outcome}}"))


def _each(metric: str, legend: str) -> list[Query]:
    shown = f"max by (instance) ({metric}{{{SERVICE}}})"
    return [Query(shown, f"{legend} {{{{instance}}}}")]
