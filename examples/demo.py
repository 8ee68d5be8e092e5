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
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
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


def ask(port: int, method: str, path: str, picture: bytes | None = None) -> tuple[int, bytes]:
    """Send one request, past any proxy, and return the answer's status and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    with closing(connection):
        connection.request(method, path, picture, {"Content-Type": "image/png"} if picture else {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    """Return once `/readyz` answers 200; exit if the server ends or takes too long."""
    give_up = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < give_up:
        if server.poll() is not None:
            sys.exit(f"oodguard serve ended with exit status {server.returncode}")
        try:
            if ask(port, "GET", "/readyz")[0] == HTTPStatus.OK:
                return
        except (ConnectionError, TimeoutError):
            pass  # it does not listen yet
        time.sleep(0.05)
    sys.exit(f"/readyz did not answer 200 within {READY_WITHIN_S:.0f} s")


def judge(port: int, picture: Path) -> dict[str, Any]:
    """Post one PNG file and return the service's answer; exit if it is a problem."""
    status, body = ask(port, "POST", "/predict", picture.read_bytes())
    if status != HTTPStatus.OK:
        sys.exit(f"{picture}: the service answered {status}: {body.decode()}")
    answer: dict[str, Any] = json.loads(body)
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


def show(port: int) -> bool:
    """Print a verdict for each picture; say whether every decision is the expected one."""
    as_expected = True
    for picture, decision in EXPECTED.items():
        answer = judge(port, picture)
        print(describe(picture, answer))
        as_expected &= answer["predictions"][0]["decision"] == decision
    return as_expected


def run(port: int, *, once: bool) -> int:
    """Serve, show the two verdicts and, unless `once`, go on; returns the exit status."""
    command = [sysconfig.get_path("scripts") + "/oodguard", "serve", "--port", str(port)]
    # One log line a request would bury the verdicts; whoever wants them sets the level.
    quiet = {"OODGUARD_LOG_LEVEL": "warning", **os.environ}
    started = time.monotonic()
    with subprocess.Popen(command, env=quiet) as server:
        try:
            wait_until_ready(server, port)
            print(f"\nServing on port {port}, ready after {time.monotonic() - started:.1f} s.\n")
            as_expected = show(port)
            if once:
                return 0 if as_expected else 1
            print(f"\nTry your own:  curl -F files=@photo.png localhost:{port}/predict")
            print("Ctrl-C stops.\n", flush=True)
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
