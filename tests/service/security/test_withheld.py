"""Metrics that follow a single image's score are for who has the role to see them."""

import re
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import MakeClient
from tests.service.pictures import encode, plain
from tests.service.security.holders import Holder

TELLING = (
    "oodguard_score",
    "oodguard_threshold",
    "oodguard_p_value",
    "oodguard_drift_log_martingale",
)


def told(client: TestClient, **headers: str) -> list[bool]:
    text = client.get("/metrics", headers=headers).text
    assert "oodguard_decisions_total{" in text
    return [f"\n{name}{{" in text or f"\n{name}_bucket{{" in text for name in TELLING]


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_without_keys_verdict_withholds_them(make_client: MakeClient, accept: str) -> None:
    client = make_client(detail="verdict")
    client.post("/predict", files={"files": encode(plain())})
    assert told(client, accept=accept) == [False] * 4


def test_in_full_detail_they_are_told(client: TestClient) -> None:
    client.post("/predict", files={"files": encode(plain())})
    assert told(client) == [True] * 4


def test_a_key_for_metrics_sees_them_under_verdict(
    make_guarded: Callable[..., TestClient], holders: dict[str, Holder]
) -> None:
    client = make_guarded(detail="verdict")
    files = {"files": encode(plain())}
    assert (
        client.post("/predict", files=files, headers=holders["predict"].headers).status_code == 200
    )
    assert told(client, **holders["metrics"].headers) == [True] * 4


def untimed(client: TestClient) -> list[str]:
    """The rows of `/metrics` but for those of time and of the process."""
    text = client.get("/metrics").text
    return [row for row in text.splitlines() if not re.search(r"^process_|_seconds", row)]


def test_under_verdict_no_metric_differs_between_two_images_that_are_answered_alike(
    make_client: MakeClient,
) -> None:
    answers, rows = [], []
    # Brightness 85 and 3, which are far apart in p-value.
    for red in (255, 9):
        client = make_client(detail="verdict")
        files = {"files": encode(plain((red, 0, 0)))}
        headers = {"x-request-id": "same"}
        answers.append(client.post("/predict", files=files, headers=headers).json())
        rows.append(untimed(client))
    assert answers[0] == answers[1]
    assert rows[0] == rows[1]
    assert any(row.startswith("oodguard_decisions_total{") for row in rows[0])
