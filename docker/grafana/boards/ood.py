"""The board that tells what is rejected, and whether the input has changed."""

from docker.grafana.boards import drift, rejections, scores
from docker.grafana.boards.board import Row, board
from docker.grafana.boards.panels import Json


def ood() -> Json:
    """Make the board."""
    return board(
        uid="oodguard-ood",
        title="OOD Guard: rejections",
        text="What is being rejected, since when, and is it an attack, a drift or a broken camera?",
        rows=[
            Row(
                "Is more rejected than may be?",
                [
                    rejections.share(),
                    rejections.counts(),
                    rejections.slow_share(),
                    rejections.evidence(),
                ],
            ),
            Row(
                "Is the input still what the model was calibrated on?",
                [
                    drift.p_values(),
                    drift.surplus(),
                    drift.evidence(),
                    drift.alarms(),
                ],
            ),
            Row("What is in the images?", [drift.classes(), drift.class_rates()]),
            Row(
                "Images to look at",
                [rejections.samples(), rejections.samples_held(), rejections.samples_bytes()],
            ),
            Row("Scores and thresholds", [scores.quantiles(), scores.buckets(), scores.shift()]),
            Row(
                "Models and versions compared",
                [scores.bundles(), drift.mean_p_value(), scores.agreement()],
            ),
        ],
    )
