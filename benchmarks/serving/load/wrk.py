"""Closed loops by wrk, which serves 64 clients with a few per cent of a CPU."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.serving.config import NotAvailable
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.requests import Request

SCRIPT = Path(__file__).with_name("post.lua")


def require() -> str:
    """Return the path of wrk.

    Raises:
        NotAvailable: Wrk is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise NotAvailable("wrk is not installed; on Debian: apt-get install wrk")
    return found


def load(port: int, request: Request, *, connections: int, duration_s: int) -> Tally:
    """Keep the connections busy; the responses that are in flight at the end are not read.

    Raises:
        NotAvailable: Wrk is not installed.
        RuntimeError: wrk failed.
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
    """Parse the last line of the script's output."""
    counts = json.loads(output.strip().splitlines()[-1])
    return Tally(
        elapsed_s=counts["duration_us"] / 1e6,
        statuses={int(status): count for status, count in counts["statuses"].items()},
        broken=counts["broken"],
        refused=counts["refused"],
        unread=connections,
    )
