"""Serve two bundles and show two verdicts, for an in-distribution image and for another one.

    python examples/demo.py [--port 8000] [--once]

Starts `oodguard serve` with `cifar10-aloe`, which answers, and `cifar10-standard` for comparison in
the playground, waits until it is ready, posts a CIFAR-10 test image and a texture, and serves until
Ctrl-C. With --once it stops after the two verdicts; the exit status is 0 if they were
the expected ones. It uses the standard library only.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "tests" / "data"
BUNDLES = ("cifar10-aloe", "cifar10-standard")
EXPECTED = {
    IMAGES / "cifar10" / "ship" / "00588.png": "accept",
    IMAGES / "textures" / "00057.png": "reject",
}
READY_WITHIN_S = 60.0


def port_is_in_use(port: int) -> bool:
    """Return whether a process listens on this port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def send(port: int, method: str, path: str, image: bytes | None = None) -> tuple[int, bytes]:
    """Send one request without a proxy and return the status and the body of the response."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    with closing(connection):
        connection.request(method, path, image, {"Content-Type": "image/png"} if image else {})
        response = connection.getresponse()
        return response.status, response.read()


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when `/readyz` returns 200; exit if the server exits or takes too long."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"oodguard serve exited with status {server.returncode}")
        try:
            if send(port, "GET", "/readyz")[0] == HTTPStatus.OK:
                return
        except (ConnectionError, TimeoutError):
            pass  # not listening yet
        time.sleep(0.05)
    sys.exit(f"/readyz did not return 200 within {READY_WITHIN_S:.0f} s")


def predict(port: int, image: Path) -> dict[str, Any]:
    """Post one PNG file and return the response; exit if it is a problem."""
    status, body = send(port, "POST", "/predict", image.read_bytes())
    if status != HTTPStatus.OK:
        sys.exit(f"{image}: the service returned {status}: {body.decode()}")
    response: dict[str, Any] = json.loads(body)
    return response


def describe(image: Path, response: dict[str, Any]) -> str:
    """Format one response as two readable lines."""
    verdict, policy = response["predictions"][0], response["policy"]
    score = policy["score"]
    return (
        f"  {image.relative_to(IMAGES.parents[1])}\n"
        f"    {verdict['decision'].upper()}: {verdict['label']}"
        f" (confidence {verdict['confidence']:.2f}), p-value {verdict['p_value']:.4f},"
        f" {score} {verdict['scores'][score]:.3f}, rejected above {policy['threshold']:.3f}"
    )


def show(port: int) -> bool:
    """Print a verdict for each image; return whether every decision is the expected one."""
    as_expected = True
    for image, decision in EXPECTED.items():
        response = predict(port, image)
        print(describe(image, response))
        as_expected &= response["predictions"][0]["decision"] == decision
    return as_expected


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of the server, with both bundles linked into `folder`.

    The environment of the caller precedes, for example with another OODGUARD_BUNDLE.
    """
    settings = {"OODGUARD_LOG_LEVEL": "warning"}  # the access log would hide the verdicts
    if not {"OODGUARD_BUNDLE", "OODGUARD_MODELS"} & os.environ.keys():
        for name in BUNDLES:
            (folder / name).symlink_to(ROOT / "models" / "pretrained" / name)
        settings |= {"OODGUARD_MODELS": str(folder), "OODGUARD_DEFAULT_MODEL": BUNDLES[0]}
    return {**settings, **os.environ}


def run(port: int, *, once: bool) -> int:
    """Serve, show the two verdicts, keep serving unless `once`, and return the exit status."""
    command = [sysconfig.get_path("scripts") + "/oodguard", "serve", "--port", str(port)]
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, env=environment(Path(folder))) as server,
    ):
        try:
            wait_until_ready(server, port)
            print(f"\nServing on port {port}, ready after {time.monotonic() - started:.1f} s.\n")
            as_expected = show(port)
            if once:
                return 0 if as_expected else 1
            print(f"\nPlayground:    http://localhost:{port}/")
            print(f"Try your own:  curl -F files=@photo.png localhost:{port}/predict")
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
    if port_is_in_use(arguments.port):
        sys.exit(f"port {arguments.port} is in use; choose another: make demo PORT=8001")
    # If another program ends the demo, its server is stopped as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(arguments.port, once=arguments.once))


if __name__ == "__main__":
    main()
