"""The board of rejections and drift."""

from docker.grafana.boards import drift, rejections, scores
from docker.grafana.boards.board import Row, board
from docker.grafana.boards.panels import Json


def ood() -> Json:
    """Make the board."""
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
            Row(
                "Is the input like the calibration images?",
                [
                    drift.p_values(),
                    drift.surplus(),
                    drift.evidence(),
                    drift.alarms(),
                ],
            ),
            Row("What is in the images?", [drift.classes(), drift.class_rates()]),
            Row(
                "Samples of rejected images",
                [rejections.samples(), rejections.samples_held(), rejections.samples_bytes()],
            ),
            Row("Scores and thresholds", [scores.quantiles(), scores.buckets(), scores.shift()]),
            Row(
                "Models and versions compared",
                [scores.bundles(), drift.mean_p_value(), scores.agreement()],
            ),
        ],
    )
