"""The board of the request stages and the process."""

from docker.grafana.boards import process, stages
from docker.grafana.boards.board import Row, board
from docker.grafana.boards.panels import Json


def engine() -> Json:
    """Make the board."""
    return board(
        uid="oodguard-engine",
        title="OOD Guard: engine",
        text="Where requests spend their time, and the state of the process.",
        rows=[
            Row("Queue", [stages.in_flight(), stages.depth(), stages.waits(), stages.skipped()]),
            Row("Decode", [stages.decodes()]),
            Row("Run", [stages.runs(), stages.run_spread(), stages.batches(), stages.busy()]),
            Row("Bundles and releases", [process.providers(), process.builds(), process.reloads()]),
            Row(
                "Process",
                [process.cpu(), process.memory(), process.files(), process.age(), process.keys()],
            ),
        ],
    )
