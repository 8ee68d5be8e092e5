"""The rows of the table, in its order."""

from collections.abc import Mapping

from benchmarks.serving.rows import (
    batches,
    counters,
    disconnects,
    idle,
    lifecycle,
    one_client,
    overload,
    single,
)
from benchmarks.serving.rows.figure import Row

ROWS: Mapping[str, Row] = {
    **batches.ROWS,
    **single.ROWS,
    **one_client.ROWS,
    **overload.ROWS,
    **lifecycle.ROWS,
    **disconnects.ROWS,
    **idle.ROWS,
    **counters.ROWS,
}
