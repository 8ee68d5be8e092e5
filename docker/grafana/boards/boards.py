"""The boards: their rows of panels, and their files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from docker.grafana.boards import drift, process, rejections, scores, stages, traffic
from docker.grafana.boards.kinds import stat, table
from docker.grafana.boards.layout import Row, board
from docker.grafana.boards.panels import About, Json, Panel, link
from docker.grafana.boards.queries import MODEL, SERVICE, Query


def ood() -> Json:
    """Return the board of rejections and drift."""
    return board(
        uid="oodguard-ood",
        title="OOD Guard: rejections",
        text="Which images are rejected, since when, and why: an attack, drift or a broken camera.",
        rows=[
            Row(
                "Is more than alpha rejected?",
                [
                    rejections.share(),
                    rejections.counts(),
                    rejections.slow_share(),
                    rejections.evidence(),
                ],
            ),
            Row("Why are images rejected?", [rejections.reasons(), rejections.reason_rates()]),
            Row(
                "Is the input like the calibration images?",
                [
                    drift.p_values(),
                    drift.surplus(),
                    drift.evidence(),
                    drift.alarms(),
                    drift.saves(),
                ],
            ),
            Row("What is in the images?", [drift.classes(), drift.class_rates()]),
            Row(
                "Sampled images",
                [rejections.samples(), rejections.samples_held(), rejections.samples_bytes()],
            ),
            Row("Scores and thresholds", [scores.quantiles(), scores.buckets(), scores.shift()]),
            Row(
                "Models and versions compared",
                [scores.bundles(), drift.mean_p_value(), scores.agreement()],
            ),
        ],
    )


def engine() -> Json:
    """Return the board of the request stages and the process."""
    return board(
        uid="oodguard-engine",
        title="OOD Guard: engine",
        text="Where requests spend their time, and the state of the process.",
        rows=[
            Row("Queue", [stages.in_flight(), stages.depth(), stages.waits(), stages.skipped()]),
            Row("Decode", [stages.decodes()]),
            Row("Run", [stages.runs(), stages.run_spread(), stages.batches(), stages.busy()]),
            Row(
                "Bundles and releases",
                [
                    process.providers(),
                    process.builds(),
                    process.reloads(),
                    process.refused_files(),
                ],
            ),
            Row(
                "Process",
                [
                    process.cpu(),
                    process.memory(),
                    process.files(),
                    process.age(),
                    process.workers(),
                    process.keys(),
                ],
            ),
        ],
    )


def overview() -> Json:
    """Return the overview board: traffic, latency, errors, verdicts."""
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
        runbooks=("OODGuardDown", "OODGuardReplicaLost"),
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


FOLDER = Path(__file__).parents[1] / "dashboards"
BOARDS: Mapping[str, Callable[[], Json]] = {"overview": overview, "ood": ood, "engine": engine}


def rendered(board: Json) -> str:
    """Return the JSON text of a board."""
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"
