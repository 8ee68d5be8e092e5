"""Verdicts as Parquet: the columns of a shard, and the model and policy in its metadata."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oodguard.models.names import text_of
from oodguard.service.errors import ScoringError
from oodguard.service.scoring.columns import SCORE_PREFIX, SEPARATOR, Columns
from oodguard.service.scoring.plan import ScoringPlan

METADATA_KEY: Final = b"oodguard"


def schema(scores: Sequence[str]) -> pa.Schema:
    """Return the columns of a shard of a model with these scores."""
    return pa.schema(
        [
            ("file", pa.string()),
            ("row", pa.int64()),
            ("label", pa.string()),
            ("class_id", pa.int64()),
            ("confidence", pa.float64()),
            *((f"{SCORE_PREFIX}{name}", pa.float32()) for name in scores),
            ("p_value", pa.float64()),
            ("decision", pa.string()),
            ("reasons", pa.list_(pa.string())),
            ("error", pa.string()),
        ]
    )


def to_table(
    files: Sequence[str],
    rows: Sequence[int | None],
    batches: Sequence[Columns],
    scores: Sequence[str],
) -> pa.Table:
    """Return the table of a part; values that a picture with an error does not have are null."""
    names = list(batches[0])
    columns = {name: np.concatenate([each[name] for each in batches]) for name in names}
    failed = columns["error"] != ""
    arrays: dict[str, pa.Array] = {
        "file": pa.array([text_of(each) for each in files], pa.string()),
        "row": pa.array(rows, pa.int64()),
    }
    kinds = schema(scores)
    for name, values in columns.items():
        if name == "reasons":
            lists = [each.split(SEPARATOR) if each else [] for each in values]
            arrays[name] = pa.array(lists, kinds.field(name).type)
        else:
            absent = ~failed if name == "error" else failed
            arrays[name] = pa.array(values, kinds.field(name).type, mask=absent, from_pandas=False)
    return pa.table(arrays, kinds)


def with_facts(
    table: pa.Table, plan: ScoringPlan, part: int, *, cutoff: float | None = None
) -> pa.Table:
    """Return the table with the facts about it as metadata: JSON under the key `oodguard`.

    Args:
        table: The table of a part.
        plan: The plan.
        part: The number of the part.
        cutoff: With a false-discovery rate, the largest p-value that is rejected.
    """
    rejected = table.column("decision").to_numpy(zero_copy_only=False) == "reject"
    facts: dict[str, Any] = {
        "model": plan.model.model_dump(),
        "policy": plan.policy.model_dump(),
        "part": part,
        "parts": plan.parts,
        "rows": table.num_rows,
        "rejected": int(np.count_nonzero(rejected)),
        "errors": table.num_rows - table.column("error").null_count,
    }
    if plan.fdr is not None:
        facts |= {"fdr": plan.fdr, "largest_rejected_p_value": cutoff}
    return table.replace_schema_metadata({METADATA_KEY: json.dumps(facts).encode()})


def to_parquet(table: pa.Table) -> bytes:
    """Return the content of the file of a shard."""
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    return bytes(content.getvalue())


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the table of a shard, or some columns of it.

    Raises:
        ScoringError: The file is damaged.
    """
    try:
        # pq.read_table imports pyarrow.dataset, and with it pandas where it is installed: 0.2 s.
        # pyarrow opens no path that is not UTF-8.
        with path.open("rb") as opened, pq.ParquetFile(opened) as file:
            return file.read(columns)
    except (OSError, pa.ArrowException) as error:
        raise ScoringError(
            f"{path} cannot be read: {str(error).rstrip('.')}. Remove it, and run the same command"
            " again to score its pictures"
        ) from error


def with_rejected(table: pa.Table, rejected: NDArray[np.bool_]) -> pa.Table:
    """Return the table with other decisions; the reasons for images that are accepted are removed.

    `rejected` `(rows,)` is false for pictures with an error.
    """
    failed = ~table.column("error").is_null().to_numpy()
    decisions = np.where(rejected, "reject", "accept").astype(object)
    reasons = table.column("reasons").to_pylist()
    kept = [
        each if is_rejected else [] for each, is_rejected in zip(reasons, rejected, strict=True)
    ]
    arrays = {
        "decision": pa.array(decisions, pa.string(), mask=failed),
        "reasons": pa.array(kept, table.schema.field("reasons").type),
    }
    for name, values in arrays.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), values)
    return table
