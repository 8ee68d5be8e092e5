"""Panels of the traffic: rates, durations, failures, load shedding."""

from docker.grafana.boards.kinds import heatmap, series, stat
from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import PREDICTION, SERVICE, Query, quantiles, rate

REQUESTS = "oodguard_requests_total"
DURATION = "oodguard_request_duration_seconds"
ALLOWED = "0.001"


def _failed_share(window: str) -> str:
    """Return the failed share; 0 without requests, for which the recorded share is NaN."""
    return f"(oodguard:failed:ratio{window} >= 0) or on () vector(0)"


def by_code() -> Panel:
    """Requests by status code."""
    about = About(
        title="Requests per second, by status code",
        text="4xx: the request is invalid. 429: load shedding. 499: the client disconnected. "
        "5xx: the service failed.",
        unit="reqps",
        runbooks=("OODGuardNoTraffic", "OODGuardErrorBudgetBurnFast"),
    )
    return series(about, Query(rate(REQUESTS, SERVICE, "code"), "{{code}}"), stacked=True)


def by_route() -> Panel:
    """Requests by route."""
    about = About(
        title="Requests per second, by route",
        text="`other`: paths that match no route, and denied requests.",
        unit="reqps",
        runbooks=("OODGuardNoTraffic",),
    )
    return series(about, Query(rate(REQUESTS, SERVICE, "route"), "{{route}}"), stacked=True)


def latency() -> Panel:
    """Quantiles of the duration."""
    about = About(
        title="Duration of prediction requests",
        text="From receiving the headers of a request to the end of its response.",
        unit="s",
        runbooks=("OODGuardSlow",),
        alarm=1,
    )
    return series(about, *quantiles(DURATION, PREDICTION, "job", ""))


def latency_spread() -> Panel:
    """Distribution of the duration."""
    about = About(
        title="Prediction requests, by duration",
        text="Two bands: two kinds of requests, or some requests that waited for others.",
        unit="s",
        runbooks=("OODGuardSlow",),
    )
    return heatmap(about, DURATION, PREDICTION)


def failures() -> Panel:
    """Use of the error budget."""
    about = About(
        title="Failed share of prediction requests, against the objective",
        text="5xx and shed requests. At 1.44 % for an hour, the error budget of a month lasts "
        "two days; at 0.6 % for six hours, five days.",
        unit="percentunit",
        runbooks=("OODGuardErrorBudgetBurnFast", "OODGuardErrorBudgetBurnSlow"),
    )
    windows = [
        Query(_failed_share(window), f"last {window}") for window in ("5m", "30m", "1h", "6h")
    ]
    return series(about, *windows, Query(f"vector({ALLOWED})", "limit: objective of 99.9 %"))


def shed() -> Panel:
    """Load shedding by reason."""
    about = About(
        title="Shed prediction requests per second, by reason",
        text="`overloaded`: 429. `late`: 504, past the deadline. `gone`: the client disconnected.",
        unit="reqps",
        runbooks=("OODGuardShedding",),
    )
    asked = rate("oodguard_shed_total", SERVICE, "reason")
    return series(about, Query(asked, "{{reason}}"), stacked=True)


def denied() -> Panel:
    """Denied requests by reason."""
    about = About(
        title="Denied requests per second, by reason",
        text="No key, an unknown or revoked key, a key without the required role, or a key "
        "above its rate limit. Many unknown keys: a client guesses keys.",
        unit="reqps",
        runbooks=("OODGuardNoTraffic",),
    )
    refused = rate("oodguard_denied_total", SERVICE, "reason")
    return series(about, Query(refused, "{{reason}}"), stacked=True)


def requests_now() -> Panel:
    """Current traffic."""
    about = About(title="Prediction requests per second", text="Of all models.", unit="reqps")
    return stat(about, Query(rate(REQUESTS, PREDICTION, "job")))


def failed_now() -> Panel:
    """Current failures."""
    about = About(
        title="Failed, last 5 minutes",
        text="Prediction requests that were answered with 5xx or shed; the objective allows 0.1 %.",
        unit="percentunit",
        runbooks=("OODGuardErrorBudgetBurnFast",),
        warn=0.001,
        alarm=0.0144,
    )
    return stat(about, Query(_failed_share("5m")))


def p99_now() -> Panel:
    """Current latency."""
    about = About(
        title="99 % answered within",
        text="Of prediction requests.",
        unit="s",
        runbooks=("OODGuardSlow",),
        warn=0.5,
        alarm=1,
    )
    return stat(about, quantiles(DURATION, PREDICTION, "job", "")[-1])
