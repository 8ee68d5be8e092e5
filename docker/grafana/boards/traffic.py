"""Panels: who asks, what they get, and how soon."""

from docker.grafana.boards.heatmaps import heatmap
from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import JUDGING, SERVICE, Query, at_rest, quantiles, rate
from docker.grafana.boards.series import series
from docker.grafana.boards.stats import stat

REQUESTS = "oodguard_requests_total"
DURATION = "oodguard_request_duration_seconds"
ALLOWED = "0.001"


def by_code() -> Panel:
    """What callers get."""
    about = About(
        title="Requests a second, by status code",
        text="4xx: something is wrong with the request. 429: shed. 499: the client hung up. "
        "5xx: something is wrong here.",
        unit="reqps",
        runbooks=("OODGuardNoTraffic", "OODGuardErrorBudgetBurnFast"),
    )
    return series(about, Query(rate(REQUESTS, SERVICE, "code"), "{{code}}"), stacked=True)


def by_route() -> Panel:
    """What callers want."""
    about = About(
        title="Requests a second, by route",
        text="`other` is all that is no route, and all that was not let in.",
        unit="reqps",
        runbooks=("OODGuardNoTraffic",),
    )
    return series(about, Query(rate(REQUESTS, SERVICE, "route"), "{{route}}"), stacked=True)


def latency() -> Panel:
    """How soon they get it."""
    about = About(
        title="Time to answer a judging request",
        text="From the request's headers to the end of its answer, as the service sees it.",
        unit="s",
        runbooks=("OODGuardSlow",),
        alarm=1,
    )
    return series(about, *quantiles(DURATION, JUDGING, "job", ""))


def latency_spread() -> Panel:
    """All of the durations."""
    about = About(
        title="Judging requests, by time to answer",
        text="Two bands: two kinds of requests, or some that waited for others.",
        unit="s",
        runbooks=("OODGuardSlow",),
    )
    return heatmap(about, DURATION, JUDGING)


def failures() -> Panel:
    """What the error budget is spent on."""
    about = About(
        title="Share of judging requests that failed, against the objective",
        text="5xx and shed requests. At 1.44 % an hour long a month's budget is gone in two days, "
        "at 0.6 % six hours long in five.",
        unit="percentunit",
        runbooks=("OODGuardErrorBudgetBurnFast", "OODGuardErrorBudgetBurnSlow"),
    )
    windows = [
        Query(
            f"oodguard:failed:ratio{window} or on () vector(0)",
            f"last {window}",
        )
        for window in ("5m", "30m", "1h", "6h")
    ]
    return series(about, *windows, Query(f"vector({ALLOWED})", "limit: 99.9 % are answered"))


def shed() -> Panel:
    """What is turned away."""
    about = About(
        title="Judging requests shed a second, by reason",
        text="`overloaded` got 429, `late` 504 past their deadline; `gone` hung up first.",
        unit="reqps",
        runbooks=("OODGuardShedding",),
    )
    asked = at_rest(rate("oodguard_shed_total", SERVICE, "reason"), "reason")
    return series(about, Query(asked, "{{reason}}"), stacked=True)


def denied() -> Panel:
    """Who is not let in."""
    about = About(
        title="Requests not let in a second, by reason",
        text="No key, one that is not in force, one without the role, or one that asked too often. "
        "Many unknown keys: somebody tries.",
        unit="reqps",
        runbooks=("OODGuardNoTraffic",),
    )
    refused = at_rest(rate("oodguard_denied_total", SERVICE, "reason"), "reason")
    return series(about, Query(refused, "{{reason}}"), stacked=True)


def requests_now() -> Panel:
    """Traffic as a number."""
    about = About(title="Judging requests a second", text="Of all models.", unit="reqps")
    return stat(about, Query(rate(REQUESTS, JUDGING, "job")))


def failed_now() -> Panel:
    """Failures as a number."""
    about = About(
        title="Failed, last 5 minutes",
        text="Judging requests that got 5xx or were shed; 0.1 % are allowed.",
        unit="percentunit",
        runbooks=("OODGuardErrorBudgetBurnFast",),
        warn=0.001,
        alarm=0.0144,
    )
    return stat(about, Query("oodguard:failed:ratio5m or on () vector(0)"))


def p99_now() -> Panel:
    """Latency as a number."""
    about = About(
        title="99 % answered within",
        text="Of judging requests.",
        unit="s",
        runbooks=("OODGuardSlow",),
        warn=0.5,
        alarm=1,
    )
    return stat(about, quantiles(DURATION, JUDGING, "job", "")[-1])
