import itertools
import math
import re

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from guide.references.blocks import renew
from guide.references.service import metrics_table
from oodguard.models.verdicts import Verdict
from oodguard.service.inference.model import LoadedModel
from oodguard.service.telemetry.metrics import Metrics
from oodguard.service.telemetry.model_metrics import score_buckets
from tests.service.checks import DOCS, metric, post
from tests.service.conftest import MakeClient
from tests.service.pictures import BLACK, RED, WHITE, encode, plain

MODEL = {"model": "tiny", "version": "1"}


def test_metrics_count_requests_by_route_and_code(client: TestClient) -> None:
    for _ in range(3):
        post(client, encode(plain()))
    post(client, b"no image")
    client.get("/wp-login.php")
    client.get("/.env")
    found = client.get("/metrics").text
    assert metric(found, "oodguard_requests_total", route="/predict", code="200") == 3
    assert metric(found, "oodguard_requests_total", route="/predict", code="400") == 1
    assert metric(found, "oodguard_requests_total", route="other", code="404") == 2
    assert metric(found, "oodguard_request_duration_seconds_count", route="/predict") == 4


def test_metrics_count_decisions_and_scores(client: TestClient) -> None:
    files = [("files", encode(plain(colour))) for colour in (BLACK, RED, WHITE, WHITE)]
    client.post("/predict", files=files)
    found = client.get("/metrics").text
    assert metric(found, "oodguard_decisions_total", decision="accept", **MODEL) == 2
    assert metric(found, "oodguard_decisions_total", decision="reject", **MODEL) == 2
    # Brightness 0, 85, 255 and 255.
    score = {**MODEL, "score": "brightness"}
    assert metric(found, "oodguard_score_count", **score) == 4
    assert metric(found, "oodguard_score_sum", **score) == 595
    threshold = metric(found, "oodguard_threshold", **score)
    assert metric(found, "oodguard_score_bucket", le=str(threshold), **score) == 2


def test_metrics_show_the_bundle_and_its_policy(make_client: MakeClient) -> None:
    client = make_client(alpha=0.2)
    sha256 = client.get("/models").json()["models"][0]["sha256"]
    found = client.get("/metrics").text
    assert metric(found, "oodguard_alpha", **MODEL) == 0.2
    info = {**MODEL, "sha256": sha256, "provider": "CPUExecutionProvider"}
    assert metric(found, "oodguard_bundle_info", **info) == 1


def test_metrics_duration_buckets_double_from_half_a_millisecond(client: TestClient) -> None:
    client.get("/healthz")
    bucket = r'^oodguard_request_duration_seconds_bucket{le="([^"]+)",route="/healthz"}'
    bounds = [float(le) for le in re.findall(bucket, client.get("/metrics").text, re.MULTILINE)]
    assert bounds[0] == 0.0005
    assert bounds[-2:] == [4.096, math.inf]
    assert all(b == pytest.approx(2 * a) for a, b in itertools.pairwise(bounds[:-1]))


def test_metrics_score_buckets_are_calibration_quantiles_and_the_threshold() -> None:
    calibration = np.arange(1001, dtype=np.float32)
    assert score_buckets(calibration, 961.0) == pytest.approx(
        [10, 50, 100, 250, 500, 750, 900, 950, 961, 990, 999]
    )


def test_metrics_omit_nan_scores_from_the_histogram(model: LoadedModel) -> None:
    metrics = Metrics(build="1", runtime="1")
    counted = metrics.for_model(model)
    counted.publish(lambda: 0)
    verdict = Verdict(
        label="red",
        class_id=0,
        confidence=0.5,
        scores={"brightness": math.nan, "darkness": math.nan},
        p_value=1 / 251,
        decision="reject",
    )
    assert counted.count_verdicts([verdict]) == 1
    labels = {**MODEL, "score": "brightness"}
    assert metrics.registry.get_sample_value("oodguard_score_sum", labels) == 0


def test_metrics_negotiate_the_openmetrics_format(client: TestClient) -> None:
    response = client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_metrics_of_alerts_exist_before_their_first_event(client: TestClient) -> None:
    families = text_string_to_metric_families(client.get("/metrics").text)
    zero = {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels)))
        for family in families
        for sample in family.samples
        if sample.value == 0
    }
    routes = ("/predict", "/models/{name}/predict", "/v2/models/{name}/infer")
    codes = ("200", "400", "413", "415", "422", "429", "500", "503", "504")
    expected: set[tuple[str, ...]] = {
        ("oodguard_requests_total", code, route) for route in routes for code in codes
    }
    expected |= {("oodguard_requests_total", "401", "other")}
    expected |= {("oodguard_shed_total", reason) for reason in ("overloaded", "late", "gone")}
    expected |= {("oodguard_keys_read_total", outcome) for outcome in ("loaded", "refused")}
    outcomes = ("loaded", "unchanged", "removed", "refused")
    expected |= {("oodguard_reloads_total", "tiny", outcome) for outcome in outcomes}
    expected |= {("oodguard_reloads_total", "unknown", "refused")}
    expected |= {("oodguard_drift_saves_total", "tiny", each, "1") for each in ("saved", "failed")}
    expected |= {("oodguard_drift_alarms_total", "tiny", "scores", "1")}
    assert expected - zero == set()


def test_metrics_of_reloads_exist_from_the_start(client: TestClient) -> None:
    found = client.get("/metrics").text
    models = ("tiny", "unknown", "policy.toml")
    assert [metric(found, "oodguard_last_reload_successful", model=each) for each in models] == [
        1,
        1,
        1,
    ]
    assert metric(found, "oodguard_keys_last_reload_successful") == 1


def test_metrics_documentation_is_up_to_date(client: TestClient) -> None:
    post(client, encode(plain()))
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    generate = {"metrics": lambda: metrics_table(client.get("/metrics").text, text)}
    assert renew(text, generate) == text
