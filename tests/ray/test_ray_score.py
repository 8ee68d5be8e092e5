"""`oodguard score --ray` on a cluster: the table of the plain command, also after kills."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ray.cluster import ROOT, Cluster, wait_until
from tests.service.scoring.conftest import png_of, shards
from tests.service.tiny import write_tiny

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.slow

PICTURES = 4000
PAGE = ROOT / "docs" / "score.md"
ENVIRONMENT = {"PYTHONPATH": str(ROOT / "src"), "OODGUARD_WORKERS": "2"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("r"))
    try:
        running.start(cpus=2)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a bundle, a table of 4,000 pictures, and a folder of pictures."""
    folder = tmp_path_factory.mktemp("inputs")
    write_tiny(folder / "tiny")
    pictures = [png_of(number % 256) if number % 50 else b"text" for number in range(PICTURES)]
    pq.write_table(pa.table({"image": pictures}), folder / "t.parquet", row_group_size=1000)
    (folder / "photos").mkdir()
    for number, picture in enumerate(pictures[:100]):
        (folder / "photos" / f"{number}.png").write_bytes(picture)
    return folder


def start(inputs: Path, out: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "oodguard.service", "score", "photos", "t.parquet"]
    return subprocess.Popen(
        [*command, "--out", str(out), "--bundle", "tiny", *options],
        cwd=inputs,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    _, text = process.communicate(timeout=300)
    assert process.returncode == 0, text


def workers(cluster: Cluster) -> list[psutil.Process]:
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if "MapWorker" in " ".join(each.info["cmdline"] or ())
        and (parent := each.parent()) is not None
        and str(cluster.folder) in " ".join(parent.cmdline())
    ]


def test_score_ray_loses_nothing_with_a_worker_or_with_the_command(
    cluster: Cluster, inputs: Path, tmp_path: Path
) -> None:
    finish(start(inputs, tmp_path / "plain", "--fdr", "0.2"))
    out, options = tmp_path / "ray", ("--fdr", "0.2", "--ray", f"127.0.0.1:{cluster.gcs}")
    command = start(inputs, out, *options)
    wait_until(lambda: len(shards(out)) >= 2 or command.poll() is not None, "shards")
    command.send_signal(signal.SIGKILL)
    command.communicate(timeout=60)
    before = shards(out)
    assert 0 < len(before) < 33
    wait_until(lambda: not workers(cluster), "Ray has ended the workers")
    command = start(inputs, out, *options)
    wait_until(lambda: len(shards(out)) > len(before) or command.poll() is not None, "more shards")
    for each in workers(cluster)[:1]:
        each.send_signal(signal.SIGKILL)
    finish(command)
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "plain"))
    assert not [each for each in out.iterdir() if each.name.startswith(("_partial", "_scored"))]


def test_ray_data_maps_batches_with_a_scorer_as_documented(
    cluster: Cluster, inputs: Path, tmp_path: Path
) -> None:
    (block,) = re.findall(
        r"^    import ray\n.*?^    \).*?$", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    block = textwrap.dedent(block)
    for shipped, local in (
        ("s3://bucket/photos/", str(inputs / "photos")),
        ("models/pretrained/cifar10-aloe", str(inputs / "tiny")),
        ('"verdicts"', repr(str(tmp_path / "verdicts"))),
        ("concurrency=16", "concurrency=1"),
    ):
        assert shipped in block
        block = block.replace(shipped, local)
    subprocess.run(
        [sys.executable, "-c", block],
        check=True,
        env={**os.environ, **ENVIRONMENT, "RAY_ADDRESS": f"127.0.0.1:{cluster.gcs}"},
        timeout=300,
    )
    finish(start(inputs, tmp_path / "plain"))
    expected = {
        row["file"].partition("/")[2]: row["label"]
        for row in pq.read_table(tmp_path / "plain").to_pylist()
        if row["row"] is None
    }
    found = pq.read_table(tmp_path / "verdicts").to_pylist()
    assert {Path(row["path"]).name: row["label"] or None for row in found} == expected
