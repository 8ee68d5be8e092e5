"""Panels of the rejection rate and of the samples."""

from docker.grafana.boards.kinds import series
from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import (
    BY_MODEL,
    MODEL,
    SERVICE,
    VERSION,
    Query,
    gauge,
    rate,
)

DECISIONS = "oodguard_decisions_total"
REASONS = "oodguard_rejection_reasons_total"
REJECT = f'{MODEL},decision="reject"'
SHARE = Query(f"{rate(DECISIONS, REJECT, BY_MODEL)} / {rate(DECISIONS, MODEL, BY_MODEL)}", VERSION)
ALPHA = Query(gauge("oodguard_alpha"), f"limit: alpha of {VERSION}")
DRIFT_LIMIT = Query(gauge("oodguard_drift_log_threshold"), f"limit of {VERSION}")


def share() -> Panel:
    """Rejected share of images."""
    about = About(
        title="Rejected share of images, against alpha",
        text="At most alpha of the in-distribution images is rejected. Far above alpha within "
        "minutes: a flood, an attack or a broken camera. Slowly rising above it: drift.",
        unit="percentunit",
        runbooks=("OODGuardFlood", "OODGuardRejectionRate"),
    )
    return series(about, SHARE, ALPHA)


def counts() -> Panel:
    """Images behind the share."""
    about = About(
        title="Predicted images per second, by decision",
        text="A share of few images has little meaning. More rejected images and as many "
        "accepted ones as before: a new client. Rejected images in place of accepted "
        "ones: the same clients send other images.",
        unit="ops",
        runbooks=("OODGuardFlood",),
    )
    predicted = rate(DECISIONS, MODEL, f"{BY_MODEL}, decision")
    return series(about, Query(predicted, f"{{{{decision}}}} {VERSION}"), stacked=True)


def reasons() -> Panel:
    """Reasons for rejections, as shares of the rejected images."""
    about = About(
        title="Share of the rejected images with each reason",
        text="An image may have several reasons. Almost only `unlike_classes` or "
        "`between_classes`, and `repeated`: an attack or other content. A quality, such as "
        "`too_dark`, in nearly all: a broken camera. In slowly more images: drift.",
        unit="percentunit",
        runbooks=("OODGuardRejectionRate", "OODGuardFlood"),
    )
    stated = rate(REASONS, MODEL, f"{BY_MODEL}, reason")
    share = f"{stated} / ignoring (reason) group_left () {rate(DECISIONS, REJECT, BY_MODEL)}"
    return series(about, Query(f"{share} > 0", f"{{{{reason}}}} {VERSION}"))


def reason_rates() -> Panel:
    """Reasons for rejections per second."""
    about = About(
        title="Rejected images per second, by reason",
        text="Shows which reason has grown. The rates of the reasons may add up to more than the "
        "rejected images.",
        unit="ops",
        runbooks=("OODGuardRejectionRate",),
    )
    stated = rate(REASONS, MODEL, f"{BY_MODEL}, reason")
    return series(about, Query(f"{stated} > 0", f"{{{{reason}}}} {VERSION}"), stacked=True)


def slow_share() -> Panel:
    """Rejected share that the slow alert uses."""
    about = About(
        title="Rejected share over 30 minutes, against alpha",
        text="Smooth enough to show a slow rise. The alert requires 500 images, and a share "
        "that chance does not explain.",
        unit="percentunit",
        runbooks=("OODGuardRejectionRate",),
    )
    return series(about, Query(f"oodguard:rejected:ratio30m{{{MODEL}}}", VERSION), ALPHA)


def evidence() -> Panel:
    """Betting test of the rejection rate."""
    about = About(
        title="Evidence that more than alpha is rejected",
        text="Natural logarithm of a betting martingale that starts at 1. While at most alpha "
        "is rejected, it ever reaches the limit with probability at most delta.",
        runbooks=("OODGuardRejectionsProven",),
    )
    proof = Query(gauge("oodguard_rejection_log_martingale"), VERSION)
    return series(about, proof, DRIFT_LIMIT, low=None)


def samples() -> Panel:
    """Sampled images by outcome."""
    about = About(
        title="Samples of images per second",
        text="`dropped`: the queue was full. `failed`: the store failed. `kept` is 0 while "
        "sampling is disabled.",
        unit="ops",
        runbooks=("OODGuardSamplesFailing",),
    )
    chosen = rate("oodguard_samples_total", SERVICE, "decision, outcome")
    return series(about, Query(chosen, "{{decision}} {{outcome}}"), width=8)


def samples_held() -> Panel:
    """Number of stored samples."""
    about = About(
        title="Stored samples",
        text="The oldest samples are removed at the limit.",
    )
    held = f"max by (instance) (oodguard_samples_held{{{SERVICE}}})"
    return series(about, Query(held, "{{instance}}"), width=8)


def samples_bytes() -> Panel:
    """Size of stored samples."""
    about = About(
        title="Size of the stored samples",
        text="The oldest samples are removed at the limit.",
        unit="bytes",
    )
    held = f"max by (instance) (oodguard_samples_held_bytes{{{SERVICE}}})"
    return series(about, Query(held, "{{instance}}"), width=8)
