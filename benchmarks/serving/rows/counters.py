"""Row `counters`: every form of request, valid and invalid, counted by service and clients."""

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.config import Config, Round
from benchmarks.serving.load.generator import ConnectionPool, closed_loop
from benchmarks.serving.requests import Request, base64_json, encode, encoded, form, raw
from benchmarks.serving.rows.figure import Row
from benchmarks.serving.service import served

CLIENTS = 16
REQUESTS_PER_SECOND = 100


def measure(config: Config) -> list[Round]:
    """Send every form of request, and compare the counts at the end of each round."""
    requests = every_request(config)
    count = REQUESTS_PER_SECOND * config.seconds
    rounds = []
    with served(config) as service:
        for _ in range(config.rounds):
            audit = Audit(service.port)
            for request in requests:
                pool = ConnectionPool(service.port, request, kept=CLIENTS)
                audit.add(closed_loop(pool, requests=count), images=request.images)
            rounds.append(
                {"requests": float(count * len(requests)), DIFFERENCE: audit.difference()}
            )
    return rounds


def every_request(config: Config) -> list[Request]:
    """Return a request of every accepted form, and two that are rejected."""
    images = config.images(4)
    files = [encode(image, "PNG") for image in images]
    return [
        encoded(files[0]),
        encoded(encode(images[0], "JPEG"), "jpeg"),
        raw(images),
        form(files),
        base64_json(files),
        encoded(files[0][: len(files[0]) // 2]),
        Request(content_type="text/plain", body=b"no picture"),
    ]


ROWS = {"counters": Row(measure=measure, figures=[])}
