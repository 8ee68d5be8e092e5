"""The rows that there are, in the order of the table."""

from collections.abc import Mapping

from benchmarks.serving.rows import (
    batches,
    counters,
    hang_ups,
    idle,
    one_client,
    overload,
    reloads,
    restarts,
    single,
)
from benchmarks.serving.rows.figure import Row

ROWS: Mapping[str, Row] = {
    **batches.ROWS,
    **single.ROWS,
    **one_client.ROWS,
    **overload.ROWS,
    **restarts.ROWS,
    **reloads.ROWS,
    **hang_ups.ROWS,
    **idle.ROWS,
    **counters.ROWS,
}
