"""Every way of asking, good and bad: do the counters say what the clients counted?"""

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.load.lines import Lines
from benchmarks.serving.load.loops import closed_loop
from benchmarks.serving.pictures import encode
from benchmarks.serving.requests import Request, base64_json, encoded, form, raw
from benchmarks.serving.rows.figure import Row
from benchmarks.serving.service import served
from benchmarks.serving.setting import Round, Setting

CLIENTS = 16
REQUESTS_A_SECOND = 100


def measure(setting: Setting) -> list[Round]:
    """Ask in every way, and compare at the end of each round."""
    requests = asked(setting)
    count = REQUESTS_A_SECOND * setting.seconds
    rounds = []
    with served(setting) as service:
        for _ in range(setting.rounds):
            audit = Audit(service.port)
            for request in requests:
                lines = Lines(service.port, request, kept=CLIENTS)
                audit.add(closed_loop(lines, requests=count), images=request.images)
            rounds.append(
                {"requests": float(count * len(requests)), DIFFERENCE: audit.difference()}
            )
    return rounds


def asked(setting: Setting) -> list[Request]:
    """One request in every way that is taken, and two that are refused."""
    pictures = setting.pictures(4)
    files = [encode(picture, "PNG") for picture in pictures]
    return [
        encoded(files[0]),
        encoded(encode(pictures[0], "JPEG"), "jpeg"),
        raw(pictures),
        form(files),
        base64_json(files),
        encoded(files[0][: len(files[0]) // 2]),
        Request(content_type="text/plain", body=b"no picture"),
    ]


ROWS = {"counters": Row(measure=measure, figures=[])}
