"""Send requests to a guard until it is not ready, as a load balancer does, and report the results.

It runs in the guard's own image inside its network and uses the standard library only, because the
proxy of a published port would accept connections for a guard that has exited:
`python - HOST SECONDS < drain_client.py`. It prints JSON: answered, failed, and the last status of
/readyz.
"""

import json
import sys
import threading
import time
from http.client import HTTPConnection

PIXELS = bytes(32 * 32 * 3)
HEADERS = {"Content-Type": "application/octet-stream", "X-Shape": "1,32,32,3"}
CLIENTS = 4


def status(host: str, method: str, path: str, body: bytes | None = None) -> int:
    """Send a request over a new connection and return the status of its response."""
    connection = HTTPConnection(host, 8000, timeout=30)
    try:
        connection.request(method, path, body, HEADERS if body else {})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def send(host: str, stop: threading.Event, answered: list[int], failed: list[object]) -> None:
    """Send one image after another until `stop` is set."""
    while not stop.is_set():
        try:
            code = status(host, "POST", "/predict", PIXELS)
        except OSError as error:
            failed.append(repr(error))
        else:
            (answered if code == 200 else failed).append(code)


def main(host: str, seconds: float) -> None:
    """Send from several threads while /readyz returns 200, for at most `seconds`."""
    stop = threading.Event()
    answered: list[int] = []
    failed: list[object] = []
    threads = [
        threading.Thread(target=send, args=(host, stop, answered, failed)) for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    end, ready = time.monotonic() + seconds, 200
    sys.stdout.write("sending\n")
    sys.stdout.flush()
    while ready == 200 and time.monotonic() < end:
        time.sleep(0.1)
        ready = status(host, "GET", "/readyz")
    stop.set()
    for thread in threads:
        thread.join()
    report = {"answered": len(answered), "failed": failed, "ready": ready}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
