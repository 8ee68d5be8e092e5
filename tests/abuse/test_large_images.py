"""Large images in small bodies: the memory stays within the budget that the start announces."""

import resource
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from PIL import Image

from benchmarks.serving.processes import peak_bytes, process_tree, reset_peak, used_bytes
from tests.e2e.conftest import serving
from tests.service.pictures import encode, plain

SIDE = 5000  # the default limit: 25 million pixels
SIDE_12 = 4564  # that of formats that take 12 bytes a pixel: 20.8 million
THREADS = 4
CLIENTS = 12
REQUESTS = 12
LIMIT_BYTES = 2 * 2**30
MEGABYTE = 10**6


def bombs() -> Mapping[str, bytes]:
    """Files of few bytes with the most pixels, of the formats and modes that take most memory."""
    size, smaller = (SIDE, SIDE), (SIDE_12, SIDE_12)
    transparent = Image.new("RGBA", size, (1, 2, 3, 128))
    return {
        "WebP with alpha": encode(transparent.resize(smaller), "WEBP", lossless=True, method=0),
        "PNG with alpha": encode(transparent),
        "16-bit PNG": encode(Image.new("I;16", size)),
        "palette PNG": encode(Image.new("P", size), transparency=bytes(256)),
        "progressive CMYK JPEG": encode(
            Image.new("CMYK", smaller), "JPEG", progressive=True, subsampling=0
        ),
    }


def announced_megabytes(log: Path) -> dict[str, int]:
    lines = [orjson.loads(line) for line in log.read_text().splitlines()]
    (summary,) = (line for line in lines if line["message"] == "The service starts.")
    memory: dict[str, int] = summary["memory_mb"]
    return memory


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc and limits")
@pytest.mark.parametrize("workers", [1, 2])
def test_large_images_stay_within_the_announced_memory_and_small_ones_pass(
    tiny_bundle: Path, tmp_path: Path, workers: int
) -> None:
    settings: dict[str, Any] = {
        "OODGUARD_WORKERS": workers,
        "OODGUARD_DECODE_THREADS": THREADS,
        "OODGUARD_THREADS": THREADS,
        "OODGUARD_LOG_FORMAT": "json",
    }
    bodies = [[("files", data)] * 3 for data in bombs().values()]
    small = encode(plain())
    with serving(tiny_bundle, tmp_path / "log", settings) as server:
        processes = process_tree(server.process.pid)
        for each in processes:
            # A real limit: beyond it, allocations fail.
            resource.prlimit(each.pid, resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
        idle = used_bytes(processes)
        reset_peak(processes)
        finished = threading.Event()

        def send_bomb(index: int) -> int:
            files = bodies[index % len(bodies)]
            return httpx2.post(f"{server.url}/predict", files=files, timeout=120).status_code

        def send_small() -> list[int]:
            codes = []
            with httpx2.Client(timeout=60) as client:
                while not finished.is_set():
                    headers = {"content-type": "image/png"}
                    response = client.post(f"{server.url}/predict", content=small, headers=headers)
                    codes.append(response.status_code)
            return codes

        def most_used() -> int:
            """Return the most memory that the processes used at one time."""
            most = 0
            while not finished.wait(0.01):
                most = max(most, used_bytes(processes))
            return most

        with ThreadPoolExecutor(CLIENTS + 2) as pool:
            good = pool.submit(send_small)
            most = pool.submit(most_used)
            codes = set(pool.map(send_bomb, range(REQUESTS)))
            finished.set()
        assert process_tree(server.process.pid) == processes
        # Decoded, or late because the large images wait for each other.
        assert codes <= {200, 504}
        assert set(good.result()) == {200}
        announced = announced_megabytes(server.log)
        # The peaks of the processes, which they reached at different times, are added here.
        assert peak_bytes(processes) - idle <= MEGABYTE * (announced["total"] - announced["idle"])
        # Bodies are small here: only decoding and the runs of the model take memory, and one large
        # image is decoded at a time in all workers.
        decoding = sum(announced[part] for part in ("large_decodes", "small_decodes", "runs"))
        assert most.result() - idle <= MEGABYTE * decoding
        assert "Traceback" not in server.log.read_text()
