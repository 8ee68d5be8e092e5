"""The overview board: traffic, latency, errors, verdicts."""

from docker.grafana.boards import rejections, scores, traffic
from docker.grafana.boards.board import Row, board
from docker.grafana.boards.panels import About, Json, Panel, link
from docker.grafana.boards.queries import MODEL, SERVICE, Query
from docker.grafana.boards.stats import stat
from docker.grafana.boards.tables import table


def overview() -> Json:
    """Make the board."""
    return board(
        uid="oodguard-overview",
        title="OOD Guard: overview",
        text="Availability, latency, errors and verdicts of the service.",
        rows=[
            Row(
                "Now",
                [
                    _up(),
                    traffic.requests_now(),
                    traffic.failed_now(),
                    traffic.p99_now(),
                    _rejected(),
                    _evidence(),
                    _alerts(),
                    scores.bundles(),
                ],
            ),
            Row("Traffic", [traffic.by_code(), traffic.by_route()]),
            Row("Latency", [traffic.latency(), traffic.latency_spread()]),
            Row("Errors", [traffic.failures(), traffic.shed(), traffic.denied()]),
            Row("Verdicts", [rejections.share(), rejections.counts()]),
        ],
    )


def _up() -> Panel:
    about = About(
        title="Instances up",
        text="Instances that answered the last scrape of Prometheus.",
        runbooks=("OODGuardDown",),
    )
    return stat(about, Query(f"sum(up{{{SERVICE}}}) or vector(0)"))


def _rejected() -> Panel:
    about = About(
        title="Rejected share, as a multiple of alpha",
        text="Rejected share of images over 30 minutes, divided by alpha: the highest of the "
        "selected models.",
        unit="suffix: times",
        runbooks=("OODGuardRejectionRate",),
        warn=1,
        alarm=2,
    )
    share = f"oodguard:rejected:ratio30m{{{MODEL}}}"
    alpha = f"max by (model, version) (oodguard_alpha{{{MODEL}}})"
    return stat(about, Query(f"max({share} / {alpha})"))


def _evidence() -> Panel:
    about = About(
        title="Evidence of drift",
        text="Log evidence of drift as a share of its alarm limit: the highest of the selected "
        "models.",
        unit="percentunit",
        runbooks=("OODGuardDrift",),
        warn=0.5,
        alarm=1,
    )
    found = f"max by (model, version) (oodguard_drift_log_martingale{{{MODEL}}})"
    enough = f"max by (model, version) (oodguard_drift_log_threshold{{{MODEL}}})"
    return stat(about, Query(f"max({found} / {enough})"))


def _alerts() -> Panel:
    about = About(
        title="Firing alerts",
        text="Click an alert to open its runbook. `none` means that no alert fires.",
    )
    firing = 'ALERTS{alertstate="firing",alertname=~"OODGuard.*"}'
    shown = (
        f"max by (alertname, severity, model, version, class) ({firing})"
        ' or on () label_replace(vector(0), "alertname", "none", "", "")'
    )
    page = link("Runbook", "${runbooks}/${__data.fields.alertname}.md")
    return table(about, shown, hidden=["Value"], row_link=page)
