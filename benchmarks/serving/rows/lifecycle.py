"""Rows `sigterm` and `reload`: SIGTERM and a hot reload under load, without a failed request."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from urllib.request import urlopen

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.bundles import write_version
from benchmarks.serving.config import Config, Round
from benchmarks.serving.load.generator import ConnectionPool, closed_loop
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.requests import Request, encode, encoded
from benchmarks.serving.rows.figure import Row, count
from benchmarks.serving.service import Service, balanced, served

# Half of the clients keep their connections, and half open one per request, as behind a proxy and
# without one.
KEPT, FRESH = 16, 16
REQUESTS_PER_PROCESS = 1000
EXIT_TIMEOUT_S = 60.0
RELOAD_TIMEOUT_S = 60.0

Load = Callable[[Service, Request, int], Tally]


def measure_sigterm(config: Config) -> list[Round]:
    """Restart the service under load until enough requests were sent."""
    request = encoded(encode(config.images(1)[0], "PNG"))
    requests = config.requests // config.rounds
    return [_sigterm_round(config, request, requests) for _ in range(config.rounds)]


def _sigterm_round(config: Config, request: Request, requests: int) -> Round:
    limit = min(REQUESTS_PER_PROCESS, requests)
    measured = Counter(_restart(config, request, limit, _with_balancer))
    while measured["requests"] < requests:
        measured.update(_restart(config, request, limit, _with_balancer))
    unbalanced = _restart(config, request, limit, _without_balancer)
    return {
        **{name: float(value) for name, value in measured.items()},
        "exit codes but 0": float(measured["exit codes but 0"] + unbalanced["exit codes but 0"]),
        "restarts": float(measured["restarts"] + 1),
        "requests without a balancer": float(unbalanced["requests"]),
        "lost without a balancer": float(unbalanced["failed"]),
    }


def _restart(config: Config, request: Request, limit: int, load: Load) -> dict[str, int]:
    with served(config) as service:
        tally = load(service, request, limit)
        code = service.process.exit_code(EXIT_TIMEOUT_S)
    return {
        "requests": tally.sent,
        "failed": tally.failed + tally.unread + tally.refused,
        "exit codes but 0": int(code != 0),
        "restarts": 1,
    }


def _with_balancer(service: Service, request: Request, limit: int) -> Tally:
    """Send SIGTERM half-way, and continue to send until `/readyz` reports not ready."""
    with balanced(service.port) as is_in_service:
        return closed_loop(
            ConnectionPool(service.port, request, kept=KEPT, fresh=FRESH),
            requests=limit,
            actions={limit // 2: lambda: service.process.send_signal(signal.SIGTERM)},
            active=is_in_service,
        )


def _without_balancer(service: Service, request: Request, limit: int) -> Tally:
    """Send SIGTERM half-way, and continue to send until connections are refused.

    A refused connection is no failure, because no request was sent over it.
    """
    tally = closed_loop(
        ConnectionPool(service.port, request, kept=KEPT, fresh=FRESH),
        actions={limit // 2: lambda: service.process.send_signal(signal.SIGTERM)},
    )
    return replace(tally, refused=0)


def measure_reload(config: Config) -> list[Round]:
    """Replace the bundle twice in every round, after a third and two thirds of its requests."""
    folder = config.scratch / "reloaded"
    write_version(config.bundle, folder, "0")
    request = encoded(encode(config.images(1)[0], "PNG"))
    with served(config, bundle=folder) as service:

        def reload(version: str) -> None:
            write_version(config.bundle, folder, version)
            service.process.send_signal(signal.SIGHUP)

        requests = config.requests // config.rounds
        return [
            _reload_round(service, request, requests, reload, number)
            for number in range(1, config.rounds + 1)
        ]


def _reload_round(
    service: Service, request: Request, requests: int, reload: Callable[[str], None], number: int
) -> Round:
    last = f"{number}.2"
    audit = Audit(service.port)
    tally = closed_loop(
        ConnectionPool(service.port, request, kept=KEPT, fresh=FRESH),
        requests=requests,
        actions={
            max(1, requests // 3): lambda: reload(f"{number}.1"),
            max(2, 2 * requests // 3): lambda: reload(last),
        },
    )
    audit.add(tally)
    return {
        "requests": float(tally.sent),
        "failed": float(tally.failed + tally.unread + tally.refused),
        "failed by a broken connection": float(tally.broken),
        "p99 ms": tally.latency_ms(200, 0.99),
        "slowest ms": tally.latency_ms(200, 1.0),
        "reloads": 2.0,
        "not active": float(not _becomes_active(service, last)),
        DIFFERENCE: audit.difference(),
    }


def _becomes_active(service: Service, version: str) -> bool:
    start = time.monotonic()
    while time.monotonic() < start + RELOAD_TIMEOUT_S:
        with urlopen(f"http://127.0.0.1:{service.port}/models", timeout=10) as response:
            models = json.load(response)["models"]
        if version in {model["version"] for model in models}:
            return True
        time.sleep(0.1)
    return False


SIGTERM, RELOAD = "SIGTERM under load", "hot reload under load"

ROWS = {
    "sigterm": Row(
        measure=measure_sigterm,
        figures=[
            count(f"{SIGTERM}: failed requests", "failed", "requests"),
            count(f"{SIGTERM}: exit codes other than 0", "exit codes but 0", "restarts"),
            count(
                f"{SIGTERM}: failed requests without a load balancer",
                "lost without a balancer",
                "requests without a balancer",
            ),
        ],
        light=False,
    ),
    "reload": Row(
        measure=measure_reload,
        figures=[
            count(f"{RELOAD}: failed requests", "failed", "requests"),
            count(f"{RELOAD}: new bundles that did not become active", "not active", "reloads"),
        ],
        light=False,
    ),
}
