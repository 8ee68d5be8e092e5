"""Closed loops by wrk: 64 clients for a few per cent of a processor."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.serving.load.tally import Tally
from benchmarks.serving.requests import Request
from benchmarks.serving.setting import NotAvailable

SCRIPT = Path(__file__).with_name("post.lua")


def require() -> str:
    """Find wrk.

    Raises:
        NotAvailable: It is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise NotAvailable("wrk is not installed; on Debian: apt-get install wrk")
    return found


def load(port: int, request: Request, *, connections: int, duration_s: int) -> Tally:
    """Keep so many connections busy for a while; the answers under way at its end are not read.

    Raises:
        NotAvailable: It is not installed.
        RuntimeError: It failed.
    """
    with tempfile.NamedTemporaryFile() as body:
        body.write(request.body)
        body.flush()
        output = _run(port, request, body.name, connections, duration_s)
    return parse(output, connections)


def _run(port: int, request: Request, body: str, connections: int, duration_s: int) -> str:
    command = [require(), "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{duration_s}s", "--timeout", "30s", "--script", str(SCRIPT)]
    command += [f"http://127.0.0.1:{port}{request.path}", "--", body]
    headers = {"Content-Type": request.content_type, **request.headers}
    command += [f"{name}: {value}" for name, value in headers.items()]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode or not ended.stdout:
        raise RuntimeError(f"wrk exited with {ended.returncode}: {ended.stderr.strip()}")
    return ended.stdout


def parse(output: str, connections: int) -> Tally:
    """Read what the script printed last."""
    said = json.loads(output.strip().splitlines()[-1])
    return Tally(
        elapsed_s=said["duration_us"] / 1e6,
        answers={int(status): count for status, count in said["answers"].items()},
        broken=said["broken"],
        refused=said["refused"],
        unread=connections,
    )
