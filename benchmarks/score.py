"""Compare `oodguard score` with the bare loop that decodes and runs the graph.

    python benchmarks/score.py --tables TABLE.parquet ... --images 1000000 --jpegs 20000

The tables of 32-pixel pictures are repeated up to --images. The command is killed after each
quarter and continued, unless it runs on Ray (--ray, in the environment of `make test-ray`), which
is then compared with the command without Ray. In each pause, and after the end, the bare loop runs
on a part of the same pictures. Then the same with JPEGs of 224 pixels, without kills. Prints the
images in a second of both, their ratio, the memory of all processes of the command, and a check of
the table. The time of the command includes its start, the list of the source and the summary; that
of the bare loop begins after its first batch.
"""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
import onnxruntime as ort
import psutil
import pyarrow.parquet as pq
from loky import cpu_count
from PIL import Image

from oodguard.models.bundle import open_bundle
from oodguard.service.images.decode import decode_image
from oodguard.service.images.header import EncodedImage

BUNDLE = Path(__file__).parents[1] / "models" / "pretrained" / "cifar10-aloe"
BATCH = 64
KILLS = 3
JPEG_SIDE, JPEG_FILES = 224, 1000
SAMPLE_S = 0.5
MIB = 2**20


@dataclass(kw_only=True, slots=True)
class Run:
    """The wall time of the command over all its starts, and its memory in MiB by sample."""

    seconds: float = 0.0
    memory: list[float] = field(default_factory=list)


def pictures(source: Sequence[str], start: int) -> Iterator[bytes]:
    """Yield the encoded pictures of tables or of a folder from a position on, without end."""
    while True:
        for each in source:
            if Path(each).is_dir():
                for path in islice(sorted(Path(each).iterdir()), start, None):
                    yield path.read_bytes()
                start = 0
                continue
            with pq.ParquetFile(each) as file:
                if start >= file.metadata.num_rows:
                    start -= file.metadata.num_rows
                    continue
                batches = file.iter_batches(BATCH, columns=["image"], use_threads=False)
                rows = chain.from_iterable(batch.column(0).to_pylist() for batch in batches)
                for row in islice(rows, start, None):
                    yield row["bytes"]
                start = 0


def bare_loop(bundle_folder: Path, source: Sequence[str], start: int, images: int) -> None:
    """Decode and run pictures in batches, and print the seconds after the first batch."""
    bundle = open_bundle(bundle_folder)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
    spec, encoded = bundle.manifest.input, pictures(source, start)
    started = 0.0
    for done in range(0, images + BATCH, BATCH):
        batch = [
            decode_image(EncodedImage(data=data), spec, max_pixels=25_000_000)
            for data in islice(encoded, BATCH)
        ]
        session.run(["logits", "scores"], {"images": np.stack(batch)})
        if done == 0:
            started = time.perf_counter()
    sys.stdout.write(f"{time.perf_counter() - started}\n")


def bare_rate(options: argparse.Namespace, source: Sequence[str], images: int) -> float:
    """Return the images in a second of one bare loop on each CPU."""
    each = images // options.workers
    processes = [
        subprocess.Popen(  # noqa: S603 - this file
            [
                *(sys.executable, __file__, "--bare", str(each), str(number * each)),
                *("--bundle", str(options.bundle), "--tables", *source),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(options.workers)
    ]
    seconds = [float(process.communicate()[0]) for process in processes]
    return float(sum(each / taken for taken in seconds))


def score(  # noqa: PLR0913 - of one run
    options: argparse.Namespace,
    source: Sequence[str],
    out: Path,
    run: Run,
    parts: float = float("inf"),
    *,
    on_ray: bool,
) -> None:
    """Run the command, and kill it when it has written a number of parts."""
    ray = ["--ray", "local"] if on_ray else []
    process = subprocess.Popen(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "oodguard.service", "score", *source, "--out", str(out)),
            *("--bundle", str(options.bundle), "--json", *ray),
        ],
        env={**os.environ, "OODGUARD_WORKERS": str(options.workers), "OODGUARD_DEVICE": "cpu"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    started, next_sample = time.perf_counter(), 0.0
    while process.poll() is None:
        now = time.perf_counter()
        if now >= next_sample:
            next_sample = now + SAMPLE_S
            run.memory.append(memory_mib(process.pid))
        if len(list(out.glob("part-*"))) >= parts:
            process.send_signal(signal.SIGKILL)
            process.wait()
            break
        time.sleep(0.05)
    run.seconds += time.perf_counter() - started
    if process.returncode not in {0, -signal.SIGKILL}:
        raise SystemExit(f"oodguard score ended with status {process.returncode}")


def memory_mib(pid: int) -> float:
    """Return the memory of a process and its children; what they share is counted once."""
    total = 0
    try:
        for each in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            total += each.memory_full_info().pss
    except psutil.Error:  # it has ended
        pass
    return total / MIB


def compare(
    options: argparse.Namespace, name: str, source: Sequence[str], images: int, kills: int
) -> None:
    """Score a source with interruptions, run the bare loop in between, and print both."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        out, run = Path(scratch) / "verdicts.parquet", Run()
        sample = max(BATCH * options.workers, images // 20)
        bare = [bare_rate(options, source, sample)]
        for kill in range(1, kills + 1):
            expected = 0
            while not expected:  # the plan is written after the start
                parts = parts_at(out, kill / (kills + 1))
                score(options, source, out, run, parts, on_ray=options.ray)
                expected = len(list(out.glob("part-*")))
            bare.append(bare_rate(options, source, sample))
        score(options, source, out, run, on_ray=options.ray)
        bare.append(bare_rate(options, source, sample))
        summary = json.loads((out / "_summary.json").read_bytes())
        check_table(out, source, images)
        rate, loop = images / run.seconds, float(np.median(bare))
        last = summary["images_per_second"]
        quarter = max(1, len(run.memory) // 4)
        print(
            f"{name}: {images:,} images, killed {kills} times, table checked\n"
            f"  oodguard score {rate:,.0f}/s, bare loop {loop:,.0f}/s"
            f" ({min(bare):,.0f} to {max(bare):,.0f}): {rate / loop:.3f};"
            f" without start and summary, after the last kill {last:,.0f}/s: {last / loop:.3f}\n"
            f"  memory: at most {max(run.memory):,.0f} MiB; median of the first quarter"
            f" {np.median(run.memory[:quarter]):,.0f}, of the last"
            f" {np.median(run.memory[-quarter:]):,.0f} MiB",
            flush=True,
        )
        if options.ray:
            plain, plain_out = Run(), Path(scratch) / "plain.parquet"
            score(options, source, plain_out, plain, on_ray=False)
            check_table(plain_out, source, images)
            without = json.loads((plain_out / "_summary.json").read_bytes())["images_per_second"]
            print(
                f"  without Ray {images / plain.seconds:,.0f}/s, ratio"
                f" {plain.seconds / run.seconds:.3f}; without start and summary {without:,.0f}/s,"
                f" ratio {last / without:.3f}"
            )


def parts_at(out: Path, share: float) -> float:
    """Return the number of parts that is a share of all."""
    try:
        plan = json.loads((out / "_plan.json").read_bytes())
    except OSError:
        return 1
    parts = -(-int(plan["images"]) // int(plan["part_rows"]))
    return max(1, round(share * parts))


def check_table(out: Path, source: Sequence[str], images: int) -> None:
    """Check that each picture of the source has one row, and that equal pictures are equal."""
    table = pq.read_table(out, columns=["file", "row", "class_id", "decision", "error"])
    if table.num_rows != images or table.column("error").null_count != images:
        raise SystemExit(f"found {table.num_rows:,} rows, expected {images:,} without errors")
    frame = table.to_pandas()
    if frame["row"].notna().all():
        sizes = [pq.ParquetFile(each).metadata.num_rows for each in source]
        rows = np.concatenate([np.arange(size) for size in sizes])
        names = np.repeat(np.array(source, object), sizes)
        if not (frame["row"].to_numpy() == rows).all() or not (frame["file"] == names).all():
            raise SystemExit("rows are missing, or occur twice")
        counts = frame.groupby(["file", "row"])[["class_id", "decision"]].nunique()
        if (counts != 1).to_numpy().any():
            raise SystemExit("equal pictures have different verdicts")
    elif frame["file"].nunique() != images:
        raise SystemExit("rows are missing, or occur twice")


def repeated(tables: Sequence[str], folder: Path, images: int) -> tuple[list[str], int]:
    """Return tables that have at least so many rows together, and the number of their rows.

    Each is a link of its own to one of the given tables: the command scores a file once.
    """
    source: list[str] = []
    rows = 0
    while rows < images:
        table = Path(tables[len(source) % len(tables)]).resolve()
        link = folder / f"{len(source):05d}-{table.name}"
        link.symlink_to(table)
        source.append(str(link))
        rows += pq.ParquetFile(table).metadata.num_rows
    return source, rows


def write_jpegs(folder: Path, table: str, images: int) -> None:
    """Write JPEGs of 224 pixels; of the first ones, the others are copies."""
    folder.mkdir()
    encoded: list[bytes] = []
    for data in islice(pictures([table], 0), min(images, JPEG_FILES)):
        stream = io.BytesIO()
        image = Image.open(io.BytesIO(data)).convert("RGB")
        image.resize((JPEG_SIDE, JPEG_SIDE)).save(stream, "JPEG", quality=90)
        encoded.append(stream.getvalue())
    for number in range(images):
        (folder / f"{number:06d}.jpg").write_bytes(encoded[number % len(encoded)])


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", nargs="+", required=True, help="tables of 32-pixel pictures")
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--jpegs", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=cpu_count())
    parser.add_argument("--ray", action="store_true", help="score on a Ray of this machine")
    parser.add_argument("--scratch", type=Path, help="folder of temporary files")
    parser.add_argument("--bare", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        images, start = options.bare
        bare_loop(options.bundle, options.tables, start, images)
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        if options.images:
            source, images = repeated(options.tables, Path(scratch), options.images)
            compare(options, "32 pixels", source, images, 0 if options.ray else KILLS)
        if options.jpegs:
            folder = Path(scratch) / "jpegs"
            write_jpegs(folder, options.tables[0], options.jpegs)
            compare(options, "JPEGs of 224 pixels", [str(folder)], options.jpegs, 0)


if __name__ == "__main__":
    main()
