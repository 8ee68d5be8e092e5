"""The board that tells where a request's time goes, and how the process does."""

from docker.grafana.boards import process, stages
from docker.grafana.boards.board import Row, board
from docker.grafana.boards.panels import Json


def engine() -> Json:
    """Make the board."""
    return board(
        uid="oodguard-engine",
        title="OOD Guard: engine",
        text="Where does the time go, and what runs where?",
        rows=[
            Row("Queue", [stages.in_flight(), stages.depth(), stages.waits(), stages.skipped()]),
            Row("Decode", [stages.decodes()]),
            Row("Run", [stages.runs(), stages.run_spread(), stages.batches(), stages.busy()]),
            Row("What runs where", [process.providers(), process.builds(), process.reloads()]),
            Row(
                "Process",
                [process.cpu(), process.memory(), process.files(), process.age(), process.keys()],
            ),
        ],
    )
