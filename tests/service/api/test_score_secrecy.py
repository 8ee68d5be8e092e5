"""Under OODGUARD_DETAIL=verdict, no client without the role metrics can order images by score."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from httpx2 import Response
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.conftest import Issued, MakeClient
from tests.service.graphs import SIZE

Observations: TypeAlias = Mapping[str, float | str]

# Mean brightness 3 to 84, of calibration scores 1 to 250: the same class, decision and coarse
# p-value.
REDS = range(9, 253, 27)

# A drift test raises several alarms on as many images of one score.
REPETITIONS = 128

PATHS = (
    *("/metrics", "/models", "/healthz", "/readyz", "/openapi.json", "/docs"),
    *("/v2", "/v2/models/tiny", "/v2/models/tiny/ready", "/v2/health/ready"),
    *("/", "/playground/config", "/models/tiny/versions/1/thresholds"),
)

# Times, and the batches that images share by their time of arrival, differ between any two runs.
TIMES = re.compile(r"process_|.*_seconds|oodguard_batch_size")


# Samples of 699 and of 700 bytes: 100 of the former fit, and 99 of the latter.
MAX_SAMPLE_BYTES = 70_000

# Requests that are refused: name, method, path, Content-Type and body.
REFUSED = (
    ("no image", "POST", "/predict", "image/png", b"no image"),
    ("wrong field", "POST", "/predict", "application/json", b'{"image": []}'),
    ("wrong shape", "POST", "/v2/models/tiny/infer", "application/json", b'{"inputs": []}'),
    ("no model", "POST", "/models/none/predict", "image/png", b""),
    ("reset", "POST", "/admin/models/tiny/drift/reset", "application/json", b""),
    ("reset version", "POST", "/admin/models/tiny/versions/1/drift/reset", "image/png", b""),
    ("reload", "POST", "/admin/models/reload", "application/json", b""),
    ("samples", "GET", "/admin/samples", "application/json", b""),
)


def observe(
    make: MakeClient,
    reds: Iterable[int],
    folder: Path,
    key: IssuedKey | None = None,
    **settings: object,
) -> list[Observations]:
    """Send each image many times to a new service, and return all that is then visible."""
    headers = {"x-request-id": "same", **(key.headers if key else {})}
    found: list[Observations] = []
    for red in reds:
        # Samples of some images are stored, and their verdicts contain the scores.
        to = folder / f"samples-{red}"
        client = make(
            detail="verdict",
            sample_accept_rate=1,
            sample_to=str(to),
            **{"sample_max_bytes": MAX_SAMPLE_BYTES, **settings},
        )
        found.append(dict(observations(client, red, headers)))
    return found


def observations(
    client: TestClient, red: int, headers: Mapping[str, str]
) -> Iterator[tuple[str, float | str]]:
    """Send an image many times, and yield everything that the service returns, by name."""
    pixels = np.zeros((REPETITIONS, SIZE, SIZE, 3), np.uint8)
    pixels[..., 0] = red
    raw = {"content-type": "application/octet-stream", "x-shape": f"{REPETITIONS},{SIZE},{SIZE},3"}
    yield from returned(
        "predict", client.post("/predict", content=pixels.tobytes(), headers={**headers, **raw})
    )
    inspection = client.post(
        "/models/tiny/versions/1/inspect", content=pixels.tobytes(), headers={**headers, **raw}
    )
    assert inspection.status_code == 200
    # The client knows its image; times differ between any two runs.
    own = {"input", "timings_ms"}
    yield "inspect", str({k: v for k, v in inspection.json().items() if k not in own})
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3]}
    body = {"inputs": [{**tensor, "data": pixels[0].ravel().tolist()}]}
    yield from returned("infer", client.post("/v2/models/tiny/infer", json=body, headers=headers))
    for name, method, path, kind, content in REFUSED:
        response = client.request(
            method, path, content=content, headers={**headers, "content-type": kind}
        )
        yield from returned(name, response)
    # The end of the lifespan waits for the drift tests and the samples; routes still answer.
    client.__exit__()
    for path in PATHS:
        response = client.get(path, headers=headers)
        if path == "/metrics" and response.status_code == 200:
            for family in text_string_to_metric_families(response.text):
                for sample in family.samples:
                    if not TIMES.match(sample.name):
                        yield f"{sample.name} {sorted(sample.labels.items())}", sample.value
        else:
            yield from returned(path, response)


def returned(name: str, response: Response) -> Iterator[tuple[str, str]]:
    """Yield the status, the headers and the body of a response."""
    yield f"{name} status", str(response.status_code)
    yield f"{name} body", response.text
    for header, value in response.headers.items():
        yield f"{name} {header}", value


def differing(found: list[Observations]) -> set[str]:
    """Return the names of what differs between the images: any order is recovered from these."""
    names: set[str] = set().union(*found)
    return {name.split()[0] for name in names if len({each.get(name) for each in found}) > 1}


def test_verdict_detail_shows_nothing_that_orders_images_to_clients_without_keys(
    make_client: MakeClient, tmp_path: Path
) -> None:
    found = observe(make_client, REDS, tmp_path)
    assert any(name.startswith("oodguard_decisions_total") for name in found[0])
    assert differing(found) == set()


def test_verdict_detail_shows_nothing_that_orders_images_to_the_role_predict(
    make_secured: MakeClient, issued: Issued, tmp_path: Path
) -> None:
    found = observe(make_secured, REDS[::4], tmp_path, issued["predict"])
    assert found[0]["predict status"] == "200"
    assert found[0]["/metrics status"] == "403"
    assert differing(found) == set()


def test_role_metrics_sees_the_metrics_that_order_images(
    make_client: MakeClient, tmp_path: Path
) -> None:
    # The attack of the tests above succeeds where it is allowed to.
    key = IssuedKey.create("predict", "metrics", key_id="both")
    file = write_key_file(tmp_path / "both.toml", key)
    names = differing(observe(make_client, REDS[::4], tmp_path, key, keys_file=file))
    assert names >= {
        "oodguard_score_sum",
        "oodguard_p_value_sum",
        "oodguard_drift_log_martingale",
        "oodguard_drift_alarms_total",
        "oodguard_samples_held",
        "oodguard_samples_held_bytes",
    }
