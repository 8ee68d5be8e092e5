"""Panels of drift: p-values, evidence, predicted classes."""

from docker.grafana.boards.kinds import heatmap, series
from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import BY_MODEL, MODEL, VERSION, Query, gauge, mean, rate
from docker.grafana.boards.rejections import DRIFT_LIMIT


def p_values() -> Panel:
    """Distribution of the p-values."""
    about = About(
        title="p-values",
        text="Images by p-value. Buckets are narrower at small p-values, where rejections are. "
        "On in-distribution traffic each tenth above 0.1 has the same count. All at the "
        "bottom: out-of-distribution. All at one height: one repeated image.",
        runbooks=("OODGuardDrift",),
    )
    return heatmap(about, "oodguard_p_value", MODEL)


def surplus() -> Panel:
    """Small p-values against their expected share."""
    about = About(
        title="Small p-values, relative to their expected share",
        text="The share of p-values up to p, divided by p: 1 on in-distribution traffic. High "
        "for p = 0.01 only: few images, far from the distribution. High for p = 0.5 as "
        "well: all images have changed, as with another camera or season.",
        runbooks=("OODGuardDrift", "OODGuardFlood"),
        warn=2,
    )
    queries = [Query(_surplus(p), f"p ≤ {p} {VERSION}") for p in ("0.01", "0.05", "0.5")]
    return series(about, *queries)


def mean_p_value() -> Panel:
    """Mean p-value."""
    about = About(
        title="Mean p-value",
        text="0.5 on in-distribution traffic; lower for unusual images, higher for very "
        "typical ones. Unlike scores, comparable between versions.",
        runbooks=("OODGuardDrift",),
    )
    return series(about, Query(mean("oodguard_p_value", MODEL, BY_MODEL), VERSION))


def evidence() -> Panel:
    """Martingale of the ranks."""
    about = About(
        title="Evidence that the input has changed",
        text="Natural logarithm of a conformal test martingale over the ranks of the scores. "
        "On in-distribution traffic it ever reaches the limit with probability at most "
        "delta.",
        runbooks=("OODGuardDrift",),
    )
    proof = Query(gauge("oodguard_drift_log_martingale"), VERSION)
    return series(about, proof, DRIFT_LIMIT, low=None)


def alarms() -> Panel:
    """Alarms of Shiryaev-Roberts."""
    about = About(
        title="Drift alarms per hour",
        text="The test restarts after each alarm. A single alarm may be chance; repeated "
        "alarms are a lasting change. A reset by an operator starts all drift tests again.",
        runbooks=("OODGuardDriftAlarm",),
        warn=1,
    )
    raised = f"sum by ({BY_MODEL}, test) (increase(oodguard_drift_alarms_total{{{MODEL}}}[1h]))"
    resets = f"sum by ({BY_MODEL}) (increase(oodguard_drift_resets_total{{{MODEL}}}[1h]))"
    return series(
        about,
        Query(raised, f"{{{{test}}}} {VERSION}"),
        Query(resets, f"resets by operators {VERSION}"),
    )


def saves() -> Panel:
    """Saves of the evidence."""
    about = About(
        title="Saves of the drift evidence, by outcome",
        text="In 10 minutes; at most one every 30 s. `failed`: a restart loses the evidence since "
        "the last save. Both are 0 without traffic, and without `OODGUARD_STATE`.",
        runbooks=("OODGuardEvidenceUnsaved",),
    )
    saved = f"sum by ({BY_MODEL}, outcome) (increase(oodguard_drift_saves_total{{{MODEL}}}[10m]))"
    return series(about, Query(saved, f"{{{{outcome}}}} {VERSION}"))


def classes() -> Panel:
    """Shares of the predicted classes."""
    about = About(
        title="Share of each predicted class",
        text="The ten most frequent classes of accepted and rejected images over 10 minutes. "
        "If one class dominates: one repeated image, or an attack that targets the class.",
        unit="percentunit",
        runbooks=("OODGuardClassTakeover",),
    )
    shares = f"topk(10, oodguard:predicted_class:share10m{{{MODEL}}})"
    return series(about, Query(shares, f"{{{{class}}}} {VERSION}"))


def class_rates() -> Panel:
    """Rates of the predicted classes."""
    about = About(
        title="Images per second, by predicted class",
        text="The ten most frequent classes. Shows if one class has grown or the others have "
        "shrunk.",
        unit="ops",
        runbooks=("OODGuardClassTakeover",),
    )
    predicted = rate("oodguard_predicted_class_total", MODEL, f"{BY_MODEL}, class")
    return series(about, Query(f"topk(10, {predicted})", f"{{{{class}}}} {VERSION}"), stacked=True)


def _surplus(p: str) -> str:
    below = rate("oodguard_p_value_bucket", f'{MODEL},le="{p}"', BY_MODEL)
    return f"{below} / {rate('oodguard_p_value_count', MODEL, BY_MODEL)} / {p}"
