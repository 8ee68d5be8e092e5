"""Ask a guard until it says that it is not ready, as a load balancer does; tell what came of it.

Run by the guard's own image inside its network, with the standard library alone, so that no proxy
of a published port takes connections on behalf of a guard that is gone:
`python - HOST SECONDS < client.py`. Prints JSON: answered, failed, and what /readyz said at last.
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
    """The status of one answer, on a connection of its own."""
    connection = HTTPConnection(host, 8000, timeout=30)
    try:
        connection.request(method, path, body, HEADERS if body else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def send(host: str, stop: threading.Event, answered: list[int], failed: list[object]) -> None:
    """Have pictures judged one after another until told to stop."""
    while not stop.is_set():
        try:
            code = status(host, "POST", "/predict", PIXELS)
        except OSError as error:
            failed.append(repr(error))
        else:
            if code == 200:
                answered.append(code)
            else:
                failed.append(code)


def main(host: str, seconds: float) -> None:
    """Send from several threads while /readyz says 200, `seconds` at most."""
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
    told = {"answered": len(answered), "failed": failed, "ready": ready}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
