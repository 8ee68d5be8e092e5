"""A hot reload under load: the new bundle takes over between two requests."""

import json
import signal
import time
from collections.abc import Callable
from urllib.request import urlopen

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.load.lines import Lines
from benchmarks.serving.load.loops import closed_loop
from benchmarks.serving.pictures import encode
from benchmarks.serving.requests import Request, encoded
from benchmarks.serving.rows.figure import Figure, Row, at_most
from benchmarks.serving.service import Service, served
from benchmarks.serving.setting import NotAvailable, Round, Setting
from benchmarks.serving.versions import write_version

KEPT, FRESH = 16, 16
TAKES_OVER_WITHIN_S = 60.0


def measure(setting: Setting) -> list[Round]:
    """Replace the bundle twice in every round, at a third and at two thirds of its requests.

    Raises:
        NotAvailable: The service has no handler for SIGHUP.
    """
    folder = setting.scratch / "reloaded"
    write_version(setting.bundle, folder, "0")
    request = encoded(encode(setting.pictures(1)[0], "PNG"))
    with served(setting, bundle=folder) as service:
        if not service.process.catches(signal.SIGHUP):
            raise NotAvailable("the service does not reload on SIGHUP")

        def reload(version: str) -> None:
            write_version(setting.bundle, folder, version)
            service.process.hang_up()

        count = setting.requests // setting.rounds
        return [_round(service, request, count, reload, turn) for turn in range(setting.rounds)]


def _round(
    service: Service, request: Request, count: int, reload: Callable[[str], None], turn: int
) -> Round:
    last = f"{turn + 1}.2"
    audit = Audit(service.port)
    tally = closed_loop(
        Lines(service.port, request, kept=KEPT, fresh=FRESH),
        requests=count,
        actions={
            max(1, count // 3): lambda: reload(f"{turn + 1}.1"),
            max(2, 2 * count // 3): lambda: reload(last),
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
        "not taken over": float(not _takes_over(service, last)),
        DIFFERENCE: audit.difference(),
    }


def _takes_over(service: Service, version: str) -> bool:
    began = time.monotonic()
    while time.monotonic() < began + TAKES_OVER_WITHIN_S:
        with urlopen(f"http://127.0.0.1:{service.port}/models", timeout=10) as answer:
            models = json.load(answer)["models"]
        if version in {model["version"] for model in models}:
            return True
        time.sleep(0.1)
    return False


ROWS = {
    "reload": Row(
        measure=measure,
        figures=[
            Figure(
                title="hot reload under load: failed requests",
                formula=lambda measured: measured["failed"],
                form="{:.0f}",
                goal=at_most(0),
                over_rounds=sum,
                of="requests",
            ),
            Figure(
                title="hot reload under load: new bundles that did not take over",
                formula=lambda measured: measured["not taken over"],
                form="{:.0f}",
                goal=at_most(0),
                over_rounds=sum,
                of="reloads",
            ),
        ],
        light=False,
    )
}
