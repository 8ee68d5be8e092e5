"""The watch beside the traffic: what it is fed is observed, told, and kept over a restart."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from oodguard.models.decision import Policy
from oodguard.service.app import create_app
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence
from oodguard.service.drift.monitor import DriftDetector, DriftMonitor
from oodguard.service.drift.state import MonitoredScore, initial_state
from oodguard.service.inference.model import LoadedModel
from oodguard.service.settings import Settings
from tests.service.pictures import BLACK, WHITE, encode, plain
from tests.service.test_metrics import samples, value

CALIBRATION = np.arange(1, 251, dtype=np.float32)
LIMITS = AlarmLimits(delta=0.01, run_length=1000)
SUBJECT = MonitoredScore(bundle="0" * 64, score="brightness", threshold=244.0, rate=0.05)


@dataclass
class Audience:
    heard: list[tuple[DriftEvidence, DriftEvidence]] = field(default_factory=list)

    def show_evidence(
        self, *, ranks: DriftEvidence, rejections: DriftEvidence, limits: AlarmLimits
    ) -> None:
        assert limits == LIMITS
        self.heard.append((ranks, rejections))

    @property
    def last(self) -> tuple[float, float]:
        ranks, rejections = self.heard[-1]
        return ranks.log_martingale, rejections.log_martingale


def watch(audience: Audience, file: Path | None = None, seed: int = 0) -> DriftMonitor:
    return DriftMonitor(
        CALIBRATION,
        subject=SUBJECT,
        limits=LIMITS,
        file=file,
        audience=audience,
        random=np.random.default_rng(seed),
    )


def batches(seed: int, count: int) -> list[np.ndarray[tuple[int], np.dtype[np.float32]]]:
    random = np.random.default_rng(seed)
    return [random.uniform(200, 300, 7).astype(np.float32) for _ in range(count)]


def test_what_was_gathered_is_observed_in_its_order_as_a_monitor_does() -> None:
    audience = Audience()
    watched = watch(audience)
    watched.start()
    taken = batches(1, 20)
    for each in taken:
        watched.take(each)
    watched.close()
    random = np.random.default_rng(0)
    monitor = DriftDetector(CALIBRATION, SUBJECT, LIMITS, initial_state(len(CALIBRATION), random))
    monitor.observe(np.concatenate(taken), random)
    assert audience.heard[0][0].steps == 0
    assert audience.heard[-1][0].steps == 140
    assert audience.last == pytest.approx(
        (monitor.ranks.log_martingale, monitor.rejections.log_martingale)
    )


def test_the_evidence_outlives_the_process(tmp_path: Path) -> None:
    before, after = Audience(), Audience()
    file = tmp_path / "drift.safetensors"
    first = watch(before, file)
    first.start()
    for each in batches(2, 30):
        first.take(each)
    first.close()
    second = watch(after, file, seed=5)
    second.start()
    second.close()
    assert before.heard[-1][0].steps == 210
    assert after.heard[0][0].steps == 210
    assert after.last == pytest.approx(before.last)


def test_evidence_about_something_else_is_not_gone_on_from_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "drift.safetensors"
    file.write_bytes(b"nothing of the kind")
    audience = Audience()
    with caplog.at_level(logging.WARNING, "oodguard.drift"):
        watched = watch(audience, file)
    assert "starts over" in caplog.text
    watched.start()
    watched.close()
    assert audience.heard[0][0].steps == 0


def test_a_folder_that_cannot_be_written_costs_the_state_and_not_the_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audience = Audience()
    watched = watch(audience, tmp_path / "missing" / "drift.safetensors")
    watched.start()
    watched.take(batches(3, 1)[0])
    with caplog.at_level(logging.WARNING, "oodguard.drift"):
        watched.close()
    assert "not saved" in caplog.text
    assert audience.heard[-1][0].steps == 7


def test_a_flood_of_images_that_are_not_known_shows_in_both_tests(
    bundle_folder: Path, tmp_path: Path, model: LoadedModel
) -> None:
    assert model.guard.policy == Policy(score="brightness")
    files = [("files", encode(plain(WHITE))) for _ in range(100)]
    settings = Settings(bundle=bundle_folder, state=tmp_path, drift_delta=0.02)
    with TestClient(create_app(settings)) as client:
        for _ in range(3):
            assert client.post("/predict", files=files).status_code == 200
        labels = {"model": "tiny", "version": "1"}
        limit = value(samples(client), "oodguard_drift_log_threshold", **labels)
        assert limit == pytest.approx(-np.log(0.02))
    # The end of the service has observed and saved what was left.
    assert (tmp_path / "drift-tiny-1.safetensors").exists()
    with TestClient(create_app(settings)) as client:
        found = samples(client)
        assert value(found, "oodguard_drift_log_martingale", **labels) > limit
        assert value(found, "oodguard_rejection_log_martingale", **labels) > limit
        assert client.post("/predict", files={"files": encode(plain(BLACK))}).status_code == 200
