"""Measure what the reasons for a rejection cost, as a share of a small request.

    python benchmarks/reasons_cost.py models/pretrained/cifar10-aloe --images tests/data/cifar10

Serves the bundle, calibrated on --images, in one process under two policies: one rejects nearly
every image, the other nearly none. The same PNGs are sent to both in turn, and the CPU time of the
process is compared: measuring, explaining, counting and writing the reasons are included. Prints
the medians and the interquartile range of the ratio over the blocks. CPU time depends little on
other load; frequency and caches do change it, so idle cores give the final figure.
"""

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np

ACCEPTING, REJECTING = "1000", "1001"  # newer than any version of a bundle
POLICY = f"""default_model = "{{name}}@{ACCEPTING}"
[models."{{name}}@{ACCEPTING}"]
alpha = 0.01
delta = "none"
[models."{{name}}@{REJECTING}"]
alpha = 0.99
delta = "none"
"""


BLOCK = 20


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "oodguard.service", *map(str, arguments)]


def _calibrate(bundle: Path, images: Path, out: Path, version: str) -> None:
    options = ("--data", images, "--out", out, "--version", version, "--by", "benchmark")
    environment = {**os.environ, "OODGUARD_DELTA": "none"}
    command = _command("calibrate", bundle, *options)
    subprocess.run(command, env=environment, check=True, capture_output=True)  # noqa: S603


@contextmanager
def _server(models: Path) -> Iterator[tuple[str, int]]:
    """Serve the bundles of a folder, and return the URL and the process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"OODGUARD_MODELS": str(models), "OODGUARD_THREADS": "1", "OODGUARD_WORKERS": "1"}
    process = subprocess.Popen(  # noqa: S603 - this project's command
        _command("serve", "--port", port),
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            if process.poll() is not None:
                raise SystemExit(f"the server ended with status {process.returncode}")
            try:
                if httpx2.get(f"{url}/readyz").is_success:
                    break
            except httpx2.TransportError:
                time.sleep(0.2)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _cpu_s(pid: int) -> float:
    """Return the CPU time of all threads of a process, in seconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _block(client: httpx2.Client, pid: int, path: str, bodies: list[bytes]) -> tuple[float, float]:
    """Return the CPU time of a request in microseconds, and the share of rejected images."""
    before, rejected = _cpu_s(pid), 0
    for body in bodies:
        answer = client.post(path, content=body, headers={"content-type": "image/png"})
        answer.raise_for_status()
        rejected += answer.json()["predictions"][0]["decision"] == "reject"
    return 1e6 * (_cpu_s(pid) - before) / len(bodies), rejected / len(bodies)


def _pair(
    client: httpx2.Client, pid: int, paths: list[str], bodies: list[bytes]
) -> list[tuple[float, float]]:
    """Return a block of each path, in an order that changes: the load may change meanwhile."""
    order = random.sample(range(len(paths)), len(paths))
    blocks = {at: _block(client, pid, paths[at], bodies) for at in order}
    return [blocks[at] for at in range(len(paths))]


def _parts(bodies: list[bytes], count: int) -> Iterator[list[bytes]]:
    """Yield blocks of different images, from the first one again after the last one."""
    bodies = bodies[: len(bodies) // BLOCK * BLOCK]
    for number in range(count):
        start = number * BLOCK % len(bodies)
        yield bodies[start : start + BLOCK]


def main() -> None:
    """Print the CPU time of a request, accepted and rejected, and the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="folder of classes, PNG files")
    parser.add_argument("--blocks", type=int, default=200, help=f"of {BLOCK} requests each")
    options = parser.parse_args()
    files = sorted(options.images.rglob("*.png"))
    bodies = [path.read_bytes() for path in files]
    name = options.bundle.resolve().name
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        # More than 219 images are needed for ranges: the shipped bundles have none.
        enlarged = _enough(files, models / ".images")
        for version in (ACCEPTING, REJECTING):
            _calibrate(options.bundle, enlarged, models / version, version)
        (models / "policy.toml").write_text(POLICY.format(name=name))
        with _server(models) as (url, pid), httpx2.Client(base_url=url) as client:
            paths = [f"/models/{name}/versions/{v}/predict" for v in (ACCEPTING, REJECTING)]
            for path in paths:
                _block(client, pid, path, bodies)
            found = np.array(
                [_pair(client, pid, paths, part) for part in _parts(bodies, options.blocks)]
            )
    accepted, rejected = np.median(found[..., 0], axis=0)
    ratios = found[:, 1, 0] / found[:, 0, 0] - 1
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    shares = found[..., 1].mean(axis=0)
    print(f"CPU time of a request with one PNG: {accepted:.0f} us ({shares[0]:.0%} rejected),")
    print(f"with reasons {rejected:.0f} us ({shares[1]:.0%} rejected), {len(bodies)} images")
    scale = 1 / (shares[1] - shares[0])
    print(
        f"reasons cost {middle * scale:.1%} ({low * scale:.1%} to {high * scale:.1%}) of a request"
    )


def _enough(files: list[Path], folder: Path) -> Path:
    """Write each picture, and a mirrored one, without classes."""
    from PIL import Image, ImageOps  # noqa: PLC0415

    folder.mkdir()
    for number, path in enumerate(files):
        with Image.open(path) as picture:
            picture.save(folder / f"{number}.png")
            ImageOps.mirror(picture).save(folder / f"{number}-mirrored.png")
    return folder


if __name__ == "__main__":
    main()
