"""Fuzz the HTTP protocol of a running server: `python -m tests.abuse.fuzz.connections`.

Random floods are composed of fragments of HTTP, valid and invalid. The oracle is the memory of the
server (see `tests.abuse.memory`), and that it stays healthy.
"""

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.abuse.floods import CHUNKED, HOST, POST, Flood, get
from tests.abuse.memory import MAX_BYTES_OF_MANY, MAX_BYTES_OF_ONE, outcome
from tests.e2e.conftest import RunningServer, serving
from tests.service.pictures import encode, plain
from tests.service.tiny import write_tiny

PICTURE = encode(plain())
MANY = 200
MAX_BYTES = 2**23

FRAGMENTS = [
    get(b"/healthz"),
    get(b"/models"),
    get(b"/openapi.json", b"Expect: 100-continue"),
    get(b"/metrics", b"Connection: close"),
    get(b"/healthz", b"Connection: Upgrade", b"Upgrade: h2c"),
    get(b"/docs/swagger-ui-bundle.js"),
    b"GET / HTTP/1.0\r\n\r\n",
    b"CONNECT guard:443" + HOST + b"\r\n",
    b"PUT /predict" + HOST + CHUNKED,
    POST,
    POST + CHUNKED,
    POST + b"Expect: 100-continue\r\n" + CHUNKED,
    POST + b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n%s" % (len(PICTURE), PICTURE),
    POST + b"Content-Type: image/png\r\nContent-Length: 99999999\r\n\r\n",
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 9\r\n\r\n",
    b"%x\r\n%s\r\n" % (len(PICTURE), PICTURE),
    b"1\r\nx\r\n",
    b"1;a=b\r\nx\r\n",
    b"10000\r\n" + bytes(65_536) + b"\r\n",
    b"fffffff\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"a: b\r\n",
    b"Authorization: Bearer x\r\n",
    b"Content-Length: 3\r\n",
    b"a: " + b"b" * 3000 + b"\r\n",
    b"a" * 3000,
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"\xff" * 100,
]


def random_flood(rng: np.random.Generator, name: str) -> Flood:
    """Return a flood of up to eight fragments, of which some bytes may be changed."""
    start, repeated = (_fragments(rng, int(rng.integers(5))) for _ in range(2))
    return Flood(
        name=name,
        start=start,
        repeated=repeated,
        reads=bool(rng.integers(2)),
        half_closes=bool(rng.random() < 0.2),
    )


def _fragments(rng: np.random.Generator, number: int) -> bytes:
    joined = bytearray().join(FRAGMENTS[rng.integers(len(FRAGMENTS))] for _ in range(number))
    if joined and rng.random() < 0.3:
        joined[rng.integers(len(joined))] = rng.integers(256)
    return bytes(joined)


def faults(server: RunningServer, *, seconds: float, seed: int) -> list[str]:
    """Send random floods for a time; return a description of each that does harm."""
    rng = np.random.default_rng(seed)
    found: list[str] = []
    end = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > end:
            return found
        flood = random_flood(rng, f"flood {number} of seed {seed}")
        many = number % 10 == 9
        connections, limit = (MANY, MAX_BYTES_OF_MANY) if many else (1, MAX_BYTES_OF_ONE)
        result = outcome(server, flood, connections=connections, max_bytes=MAX_BYTES // connections)
        if result.fault or result.peak_bytes > limit:
            found.append(f"{flood} on {connections} connections: {result}")
    raise AssertionError


def main() -> int:
    """Fuzz a server of its own; return the number of floods that did harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle, log = Path(folder) / "tiny", Path(folder) / "log"
        write_tiny(bundle)
        with serving(bundle, log, {"OODGUARD_LOG_LEVEL": "error"}) as server:
            found = faults(server, seconds=chosen.seconds, seed=chosen.seed)
    sys.stderr.writelines(f"{each[:2000]}\n" for each in found)
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
