"""Panels: is more rejected than may be?"""

from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import (
    BY_MODEL,
    MODEL,
    SERVICE,
    WHOSE,
    Query,
    at_rest,
    gauge,
    rate,
)
from docker.grafana.boards.series import series

DECISIONS = "oodguard_decisions_total"
REJECT = f'{MODEL},decision="reject"'
SHARE = Query(f"{rate(DECISIONS, REJECT, BY_MODEL)} / {rate(DECISIONS, MODEL, BY_MODEL)}", WHOSE)
ALPHA = Query(gauge("oodguard_alpha"), f"limit: alpha of {WHOSE}")
ENOUGH = Query(gauge("oodguard_drift_log_threshold"), f"limit of {WHOSE}")


def share() -> Panel:
    """The share of now."""
    about = About(
        title="Share of images that is rejected, against alpha",
        text="Of images like those of the calibration at most alpha is rejected. Far above it "
        "within minutes: a flood, an attack or a broken camera. Creeping above it: a drift.",
        unit="percentunit",
        runbooks=("OODGuardFlood", "OODGuardRejectionRate"),
    )
    return series(about, SHARE, ALPHA)


def counts() -> Panel:
    """The images behind the share."""
    about = About(
        title="Images judged a second, by decision",
        text="A share of few images says little. More rejections beside as many accepted images: "
        "somebody new asks. In place of accepted images: the same callers send other images.",
        unit="ops",
        runbooks=("OODGuardFlood",),
    )
    judged = rate(DECISIONS, MODEL, f"{BY_MODEL}, decision")
    return series(about, Query(judged, f"{{{{decision}}}} {WHOSE}"), stacked=True)


def slow_share() -> Panel:
    """What the slow alert looks at."""
    about = About(
        title="Share rejected over 30 minutes, against alpha",
        text="Smooth enough for a slow rise to be seen. Its alert wants 500 images, and more than "
        "chance makes of alpha.",
        unit="percentunit",
        runbooks=("OODGuardRejectionRate",),
    )
    return series(about, Query(f"oodguard:rejected:ratio30m{{{MODEL}}}", WHOSE), ALPHA)


def evidence() -> Panel:
    """The betting test."""
    about = About(
        title="Evidence that more than alpha is rejected",
        text="Natural logarithm of what 1 has become by bets that more than alpha is rejected. "
        "While no more is, it reaches the limit with chance delta at most, however long it runs.",
        runbooks=("OODGuardRejectionsProven",),
    )
    proof = Query(gauge("oodguard_rejection_log_martingale"), WHOSE)
    return series(about, proof, ENOUGH, low=None)


def samples() -> Panel:
    """Rejected images that are kept for a look."""
    about = About(
        title="Rejected images kept for a look, a second",
        text="`dropped` came faster than they could be written, `failed` were not taken by the "
        "place; `kept` stays at 0 where none are to be kept.",
        unit="ops",
        runbooks=("OODGuardFlood",),
    )
    chosen = at_rest(rate("oodguard_samples_total", SERVICE, "outcome"), "outcome")
    return series(about, Query(chosen, "{{outcome}}"), width=8)


def samples_held() -> Panel:
    """How many there are."""
    about = About(
        title="Samples held",
        text="The oldest make room where there are as many as may be.",
    )
    held = f"max by (instance) (oodguard_samples_held{{{SERVICE}}})"
    return series(about, Query(held, "{{instance}}"), width=8)


def samples_bytes() -> Panel:
    """How much room they take."""
    about = About(
        title="Bytes of samples held",
        text="The oldest make room where they take as much as they may.",
        unit="bytes",
    )
    held = f"max by (instance) (oodguard_samples_held_bytes{{{SERVICE}}})"
    return series(about, Query(held, "{{instance}}"), width=8)
