"""A run that is killed at any time continues without losing a picture or scoring one twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.service.scoring.conftest import png_of, shards

pytestmark = pytest.mark.slow

PICTURES = 4000


def start(bundle: Path, table: Path, out: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "oodguard.service", "score", str(table), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--bundle", str(bundle), "--json", *options],
        env={**os.environ, "OODGUARD_WORKERS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    pictures = [png_of(number % 256) if number % 50 else b"text" for number in range(PICTURES)]
    pq.write_table(pa.table({"image": pictures}), path, row_group_size=1000)
    return path


def test_score_states_that_a_worker_was_killed_and_ends_all_processes(
    bundle_folder: Path, tmp_path: Path, table: Path
) -> None:
    out = tmp_path / "out"
    process = start(bundle_folder, table, out)
    while not shards(out):
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)  # sends no further parts
    (forker,) = psutil.Process(process.pid).children()
    workers = forker.children()
    assert len(workers) == 2
    workers[1].send_signal(signal.SIGKILL)
    process.send_signal(signal.SIGCONT)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 1
    line = text.decode().splitlines()[-1]
    assert line.startswith("oodguard: a worker process ended with signal 9: the memory may not")
    assert line.endswith("Run the same command again to continue")
    assert not psutil.wait_procs([forker, *workers], timeout=60)[1]


@pytest.mark.parametrize("options", [(), ("--fdr", "0.2")])
def test_score_continues_after_it_was_killed_three_times(
    bundle_folder: Path, tmp_path: Path, table: Path, options: tuple[str, ...]
) -> None:
    whole = start(bundle_folder, table, tmp_path / "whole", *options)
    _, text = whole.communicate(timeout=300)
    assert whole.returncode == 0, text
    out = tmp_path / "killed"
    for kill in range(1, 4):
        process = start(bundle_folder, table, out, *options)
        before = shards(out)
        while len(shards(out)) < kill * 10 and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        _, text = process.communicate(timeout=60)
        assert b"Traceback" not in text
        now = shards(out)
        assert before.items() <= now.items()  # no part was scored again
    last = start(bundle_folder, table, out, *options)
    printed, text = last.communicate(timeout=300)
    assert last.returncode == 0, text
    assert json.loads(printed)["images"] == PICTURES
    expected, found = pq.read_table(tmp_path / "whole"), pq.read_table(out)
    assert found.num_rows == PICTURES
    assert found.equals(expected)
    assert not [each for each in out.iterdir() if each.name.startswith(("_partial", "_scored"))]
