import socket
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oodguard.command_line.exit_codes import ExitCode
from oodguard.models.bundle import open_bundle
from oodguard.models.decision import Policy
from oodguard.service.errors import ScoringError
from oodguard.service.scoring.part_scorer import PartScorer, ScoringJob
from oodguard.service.scoring.plan import new_plan
from oodguard.service.scoring.ray_run import RayWorker, consecutive, enter, sizes_of, task
from oodguard.service.scoring.source import list_pictures
from tests.service.scoring.conftest import Score, png_of


def test_score_ray_tasks_are_consecutive_and_enough_for_all_workers() -> None:
    assert consecutive(10, 2) == [(at, at + 1) for at in range(10)]
    found = consecutive(245, 2)  # 245 / 16 parts for each of 8 tasks of a worker
    assert (found[0], found[1], found[-1]) == ((0, 15), (15, 30), (240, 245))
    assert consecutive(10_000, 16)[0] == (0, 16)


def test_score_ray_worker_returns_the_shards_of_a_task_without_the_list_of_names(
    photos: Path, bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"image": [png_of(level) for level in range(100)]}), "t.parquet")
    names = tmp_path / "names"
    arguments = [str(photos / "a"), "t.parquet", str(photos / "b" / "blue.png")]
    source = list_pictures(arguments, names, image_column=None, max_bytes=2**20)
    bundle = open_bundle(bundle_folder)
    plan = new_plan(
        bundle, Policy(score="brightness"), None, source, fdr=None, max_pixels=99, max_bytes=2**20
    )
    job = ScoringJob(
        plan=plan, source=source, bundle=bundle_folder, device="cpu", out=tmp_path / "out"
    )
    parts = list(range(plan.parts))
    expected = [PartScorer(job).score(part) for part in parts]
    given, sizes = task(job, parts), sizes_of(job)
    assert set(sizes) == {
        "t.parquet",
        *(str(photos / each) for each in ("a/<script>.jpg", "b/blue.png")),
    }
    names.unlink()
    monkeypatch.chdir("/")
    worker = RayWorker(job.model_dump_json(), tmp_path, sizes)
    found = list(worker(given))
    assert [row["part"] for row in found] == [[part] for part in parts]
    for row, table in zip(found, expected, strict=True):
        assert pq.read_table(pa.BufferReader(row["shard"][0])).equals(table)


def test_score_ray_worker_refuses_a_source_that_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"1234")
    enter(tmp_path, {"a.png": 4})
    with pytest.raises(ScoringError, match="has 4 bytes, expected 5 bytes: put the source"):
        enter(tmp_path, {"a.png": 5})
    with pytest.raises(ScoringError, match=r"b\.png on the machine .* is missing"):
        enter(tmp_path, {"b.png": 5})


def test_score_ray_states_a_fault_in_one_line(
    score: Score, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # not listening
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        refused = score(photos, "--ray", address)
    assert f"--ray is {address}, which does not answer" in refused.stderr.splitlines()[-1]
    client = score(photos, "--ray", "ray://head:10001")
    assert "expected local, or auto or HOST:PORT" in client.stderr.splitlines()[-1]
    monkeypatch.setitem(sys.modules, "ray", None)
    missing = score("--ray", photos)
    assert score("--ray", "no-source").stderr == missing.stderr  # before the source is listed
    assert "ray is not installed. Install the" in missing.stderr.splitlines()[-1]
    monkeypatch.setenv("OODGUARD_DEVICE", "cuda")
    device = score(photos, "--ray")
    assert "OODGUARD_DEVICE is cuda, expected cpu or auto" in device.stderr.splitlines()[-1]
    assert missing.exit_code == ExitCode.UNAVAILABLE
    assert {each.exit_code for each in (refused, client, device)} == {ExitCode.INVALID}
