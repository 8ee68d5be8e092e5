"""The folder of verdicts, without a run."""

import fcntl
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oodguard.service.errors import ScoringError
from oodguard.service.scoring.output import LOCK_FILE, NAMES_FILE, open_output
from oodguard.service.scoring.picture_source import PictureSource
from oodguard.service.scoring.plan import (
    PLAN_FILE,
    ModelName,
    PolicyRecord,
    ScoringPlan,
    check_same,
    read_plan,
)
from oodguard.service.scoring.shards import read_shard


def test_score_output_is_left_as_it_is_by_a_second_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_output(out):
        (out / NAMES_FILE).write_text("the list of the first command")
        for _ in range(2):
            with pytest.raises(ScoringError, match="is in use by another"), open_output(out):
                pass
        assert sorted(each.name for each in out.iterdir()) == [LOCK_FILE, NAMES_FILE]
    assert not out.exists()  # without a plan there is nothing to continue


def test_score_output_that_ends_while_it_is_locked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removes_and_locks(*_: Any) -> None:
        (tmp_path / "out" / LOCK_FILE).unlink()

    monkeypatch.setattr(fcntl, "flock", removes_and_locks)
    with pytest.raises(ScoringError, match="is in use by another"), open_output(tmp_path / "out"):
        pass


def test_score_output_with_a_name_that_is_not_utf8_is_sent_to_workers_and_read(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "\udcff\xe9"
    source = PictureSource(
        arguments=("a",), segments=(), names=folder / NAMES_FILE, sha256="0", skipped={}
    )
    assert PictureSource.model_validate_json(source.model_dump_json()) == source
    folder.mkdir()
    with (folder / "part-00000.parquet").open("wb") as file:
        pq.write_table(pa.table({"row": [1]}), file)
    assert read_shard(folder / "part-00000.parquet").to_pydict() == {"row": [1]}


def test_score_output_states_which_shard_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "part-00003.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ScoringError, match=r"part-00003.parquet cannot be read: .*\. Remove it"):
        read_shard(path)


def test_score_plan_has_all_arguments_that_a_shell_makes_of_a_pattern(tmp_path: Path) -> None:
    policy = PolicyRecord(
        score="msp",
        alpha=0.05,
        delta=0.05,
        by_class=False,
        under_attack=None,
        beta=None,
        threshold=0.5,
    )
    source = tuple(f"photos/{number:040d}.jpg" for number in range(40_000))
    plan = ScoringPlan(
        model=ModelName(name="a", version="1", sha256="0"),
        policy=policy,
        fdr=None,
        source=source,
        source_sha256="0",
        images=1,
        part_rows=64,
        max_pixels=1,
        max_bytes=1,
    )
    (tmp_path / PLAN_FILE).write_text(plan.model_dump_json(indent=2))
    assert read_plan(tmp_path) == plan
    check_same(tmp_path, plan, plan)
    other = plan.model_copy(update={"source": (*source[:-1], "other.jpg")})
    with pytest.raises(ScoringError, match=r"the source .* and 39,997 more \(sha256") as caught:
        check_same(tmp_path, plan, other)
    assert len(str(caught.value)) < 1000
