"""Panels: is the input still what the model was calibrated on?"""

from docker.grafana.boards.heatmaps import heatmap
from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import BY_MODEL, MODEL, WHOSE, Query, gauge, mean, rate
from docker.grafana.boards.rejections import ENOUGH
from docker.grafana.boards.series import series


def p_values() -> Panel:
    """All of them."""
    about = About(
        title="p-values",
        text="Images by p-value. Bounds lie closer together at the bottom, where rejections are; "
        "while the input is as calibrated, each tenth above 0.1 is filled alike. All at the "
        "bottom: out-of-distribution. All at one height: the same image again and again.",
        runbooks=("OODGuardDrift",),
    )
    return heatmap(about, "oodguard_p_value", MODEL)


def surplus() -> Panel:
    """Small ones, held against how many there should be."""
    about = About(
        title="How often small p-values come, over how often they should",
        text="The share of p-values up to p, divided by p: 1 while the input is as calibrated. "
        "Only p = 0.01 high: few images, far out. p = 0.5 high as well: everything has moved, as "
        "with another camera or season.",
        runbooks=("OODGuardDrift", "OODGuardFlood"),
        warn=2,
    )
    queries = [Query(_surplus(p), f"p ≤ {p} {WHOSE}") for p in ("0.01", "0.05", "0.5")]
    return series(about, *queries)


def mean_p_value() -> Panel:
    """Their mean."""
    about = About(
        title="Mean p-value",
        text="0.5 while the input is as calibrated; lower for stranger images, higher for more "
        "ordinary ones. Comparable between versions, which scores are not.",
        runbooks=("OODGuardDrift",),
    )
    return series(about, Query(mean("oodguard_p_value", MODEL, BY_MODEL), WHOSE))


def evidence() -> Panel:
    """The martingale."""
    about = About(
        title="Evidence that the input has changed",
        text="Natural logarithm of a conformal test martingale over the ranks of the scores. On "
        "input as calibrated it reaches the limit with chance delta at most, however long it runs.",
        runbooks=("OODGuardDrift",),
    )
    proof = Query(gauge("oodguard_drift_log_martingale"), WHOSE)
    return series(about, proof, ENOUGH, low=None)


def alarms() -> Panel:
    """The repeating alarms."""
    about = About(
        title="Drift alarms in an hour",
        text="A test that starts over after each alarm: one may be chance, one after the other is "
        "a change that lasts.",
        runbooks=("OODGuardDriftAlarm",),
        warn=1,
    )
    raised = f"sum by ({BY_MODEL}, test) (increase(oodguard_drift_alarms_total{{{MODEL}}}[1h]))"
    return series(about, Query(raised, f"{{{{test}}}} {WHOSE}"))


def classes() -> Panel:
    """What is seen in the images."""
    about = About(
        title="Share of each predicted class",
        text="The ten most frequent, of accepted and rejected images over 10 minutes. One class "
        "that takes over: the same picture again and again, or an attack that aims at it.",
        unit="percentunit",
        runbooks=("OODGuardClassTakeover",),
    )
    shares = f"topk(10, oodguard:predicted_class:share10m{{{MODEL}}})"
    return series(about, Query(shares, f"{{{{class}}}} {WHOSE}"))


def class_rates() -> Panel:
    """How many images of each."""
    about = About(
        title="Images a second of each predicted class",
        text="The ten most frequent. Whether one class grew or the others went away.",
        unit="ops",
        runbooks=("OODGuardClassTakeover",),
    )
    judged = rate("oodguard_predicted_class_total", MODEL, f"{BY_MODEL}, class")
    return series(about, Query(f"topk(10, {judged})", f"{{{{class}}}} {WHOSE}"), stacked=True)


def _surplus(p: str) -> str:
    below = rate("oodguard_p_value_bucket", f'{MODEL},le="{p}"', BY_MODEL)
    return f"{below} / {rate('oodguard_p_value_count', MODEL, BY_MODEL)} / {p}"
