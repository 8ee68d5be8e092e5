"""Serve a bundle and show two verdicts: a picture it knows and one that it should not answer.

    python examples/demo.py [--port 8000] [--once]

Starts `oodguard serve`, waits until it is ready, posts a CIFAR-10 test picture and a texture,
then goes on serving until Ctrl-C. With --once it stops after the two verdicts, and its exit
status says whether they were the expected ones. Needs the standard library alone.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).resolve().parents[1] / "tests" / "data"
EXPECTED = {
    PICTURES / "cifar10" / "ship" / "00588.png": "accept",
    PICTURES / "textures" / "00057.png": "reject",
}
READY_WITHIN_S = 60.0


def port_is_taken(port: int) -> bool:
    """Say whether somebody listens on this port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    """Return once `/readyz` answers 200; exit if the server ends or takes too long."""
    give_up = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < give_up:
        if server.poll() is not None:
            sys.exit(f"oodguard serve ended with exit status {server.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.05)
    sys.exit(f"{url}/readyz did not answer 200 within {READY_WITHIN_S:.0f} s")


def judge(url: str, picture: Path) -> dict[str, Any]:
    """Post one PNG file and return the service's answer."""
    request = urllib.request.Request(
        f"{url}/predict", data=picture.read_bytes(), headers={"Content-Type": "image/png"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def describe(picture: Path, answer: dict[str, Any]) -> str:
    """Put one answer into two readable lines."""
    verdict, policy = answer["predictions"][0], answer["policy"]
    score = policy["score"]
    return (
        f"  {picture.relative_to(PICTURES.parents[1])}\n"
        f"    {verdict['decision'].upper()}: {verdict['label']}"
        f" (confidence {verdict['confidence']:.2f}), p-value {verdict['p_value']:.4f},"
        f" {score} {verdict['scores'][score]:.3f}, rejected above {policy['threshold']:.3f}"
    )


def show(url: str) -> bool:
    """Print a verdict for each picture; say whether every decision is the expected one."""
    as_expected = True
    for picture, decision in EXPECTED.items():
        answer = judge(url, picture)
        print(describe(picture, answer))
        as_expected &= answer["predictions"][0]["decision"] == decision
    return as_expected


def run(port: int, *, once: bool) -> int:
    """Serve, show the two verdicts and, unless `once`, go on; returns the exit status."""
    url = f"http://127.0.0.1:{port}"
    command = [sysconfig.get_path("scripts") + "/oodguard", "serve", "--port", str(port)]
    # One log line a request would bury the verdicts; whoever wants them sets the level.
    quiet = {"OODGUARD_LOG_LEVEL": "warning", **os.environ}
    started = time.monotonic()
    with subprocess.Popen(command, env=quiet) as server:
        try:
            wait_until_ready(server, url)
            print(f"\nServing at {url}, ready after {time.monotonic() - started:.1f} s.\n")
            as_expected = show(url)
            if once:
                return 0 if as_expected else 1
            print(f"\nTry your own:  curl -F files=@photo.png {url}/predict\nCtrl-C stops.\n")
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()


def main() -> None:
    """Parse the command line and run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--once", action="store_true", help="stop after the two verdicts")
    arguments = parser.parse_args()
    if port_is_taken(arguments.port):
        sys.exit(f"port {arguments.port} is taken; choose another: make demo PORT=8001")
    # Ended by another program, the demo still takes its server with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(arguments.port, once=arguments.once))


if __name__ == "__main__":
    main()
