"""The board to look at first: traffic, latency, errors, verdicts."""

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
        text="Does it answer, in time, everybody, and what does it say?",
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
        title="Instances that answer",
        text="Those that answered Prometheus' last scrape.",
        runbooks=("OODGuardDown",),
    )
    return stat(about, Query(f"sum(up{{{SERVICE}}}) or vector(0)"))


def _rejected() -> Panel:
    about = About(
        title="Rejected, over alpha",
        text="The highest of the chosen models: how many times the share of images that was "
        "rejected within 30 minutes is what may be.",
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
        text="The highest of the chosen models, as a share of what is enough for an alarm.",
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
        title="Alerts that fire",
        text="A click leads to the runbook. `none` is good.",
    )
    firing = 'ALERTS{alertstate="firing",alertname=~"OODGuard.*"}'
    shown = (
        f"max by (alertname, severity, model, version, class) ({firing})"
        ' or on () label_replace(vector(0), "alertname", "none", "", "")'
    )
    page = link("Runbook", "${runbooks}/${__data.fields.alertname}.md")
    return table(about, shown, hidden=["Value"], row_link=page)
