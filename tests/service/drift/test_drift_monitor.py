import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from starlette.testclient import TestClient

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.service.app import create_app
from oodguard.service.drift import monitor as monitor_module
from oodguard.service.drift.detector import DriftDetector
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence
from oodguard.service.drift.monitor import DriftMonitor, SaveOutcome
from oodguard.service.drift.state import MonitoredScore, initial_state, write_state
from oodguard.service.inference.model import LoadedModel, load_model
from oodguard.service.registry.deployment import monitoring, state_file
from oodguard.service.settings import Settings
from tests.conftest import rows_bundle
from tests.e2e.conftest import wait_until
from tests.service.checks import metric
from tests.service.graphs import CLASSES, SCORES, SIZE, graph
from tests.service.pictures import BLACK, WHITE, encode, plain

Batches = list[NDArray[np.float32]]

CALIBRATION = np.arange(1, 251, dtype=np.float32)
LIMITS = AlarmLimits(delta=0.01, run_length=1000)
MONITORED = MonitoredScore(
    model="tiny", version="1", bundle="0" * 64, score="brightness", threshold=244.0, rate=0.05
)


@dataclass
class Published:
    evidence: list[tuple[DriftEvidence, DriftEvidence]] = field(default_factory=list)
    saves: list[SaveOutcome] = field(default_factory=list)
    resets: int = 0

    def set_drift_evidence(
        self, ranks: DriftEvidence, rejections: DriftEvidence, limits: AlarmLimits
    ) -> None:
        assert limits == LIMITS
        self.evidence.append((ranks, rejections))

    def count_drift_save(self, outcome: SaveOutcome) -> None:
        self.saves.append(outcome)

    def withdraw_drift(self) -> None:
        raise AssertionError

    def count_drift_reset(self) -> None:
        self.resets += 1

    @property
    def steps(self) -> list[int]:
        return [ranks.steps for ranks, _ in self.evidence]

    @property
    def last(self) -> tuple[float, float]:
        ranks, rejections = self.evidence[-1]
        return ranks.log_martingale, rejections.log_martingale


def monitored(file: Path | None = None, seed: int = 0, batches: Batches | None = None) -> Published:
    """Run a monitor on `batches` and return what it published."""
    published = Published()
    monitor = DriftMonitor(
        CALIBRATION,
        monitored=MONITORED,
        limits=LIMITS,
        file=file,
        observer=published,
        random=np.random.default_rng(seed),
    )
    monitor.start()
    for batch in batches or []:
        monitor.add(batch)
    monitor.close()
    return published


def drawn_batches(seed: int, count: int) -> Batches:
    random = np.random.default_rng(seed)
    return [random.uniform(200, 300, 7).astype(np.float32) for _ in range(count)]


def test_drift_monitor_observes_scores_in_order() -> None:
    batches = drawn_batches(1, 20)
    published = monitored(batches=batches)
    random = np.random.default_rng(0)
    detector = DriftDetector(
        CALIBRATION, MONITORED, LIMITS, initial_state(len(CALIBRATION), random)
    )
    detector.observe(np.concatenate(batches), random)
    assert (published.steps[0], published.steps[-1]) == (0, 140)
    expected = (detector.ranks.log_martingale, detector.rejections.log_martingale)
    assert published.last == pytest.approx(expected)


@pytest.mark.usefixtures("quick_observations")
def test_drift_monitor_saves_without_further_traffic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "SAVE_INTERVAL_S", 0.03)
    published = Published()
    monitor = DriftMonitor(
        CALIBRATION,
        monitored=MONITORED,
        limits=LIMITS,
        file=tmp_path / "drift.safetensors",
        observer=published,
        random=np.random.default_rng(0),
    )
    monitor.start()
    wait_until(lambda: published.saves == ["saved"])
    monitor.add(drawn_batches(2, 1)[0])
    wait_until(lambda: published.saves == ["saved"] * 2)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(monitor_module, "write_state", fail)
        monitor.add(drawn_batches(3, 1)[0])
        wait_until(lambda: published.saves.count("failed") >= 2)
    wait_until(lambda: published.saves[-1] == "saved")
    assert published.steps[-1] == 14
    monitor.close()


def test_drift_monitor_continues_from_its_state_file(tmp_path: Path) -> None:
    file = tmp_path / "drift.safetensors"
    before = monitored(file, batches=drawn_batches(2, 30))
    assert before.saves == ["saved", "saved"]
    after = monitored(file, seed=5)
    assert before.steps[-1] == after.steps[0] == 210
    assert after.last == pytest.approx(before.last)


def test_drift_monitor_has_a_state_file_for_each_name_and_version(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)
    found = [
        state_file(settings, replace(MONITORED, model=name, version=version))
        for name, version in (("cat", "8-1"), ("cat-8", "1"))
    ]
    names = ["drift-cat@8-1.safetensors", "drift-cat-8@1.safetensors"]
    assert found == [tmp_path / each for each in names]


def test_drift_monitor_starts_without_evidence_if_the_state_cannot_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "drift.safetensors"
    file.write_bytes(b"not a state")
    assert monitored(file).steps[0] == 0
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert record.getMessage() == (
        "The drift state cannot be used: the tests start without evidence."
    )
    fields = record.__dict__["fields"]
    assert "is damaged" in fields["error"]
    # The monitor has saved another state under its name.
    aside = tmp_path / "drift.safetensors.unused"
    assert fields["moved_to"] == str(aside)
    assert aside.read_bytes() == b"not a state"
    assert file.exists()


def test_drift_monitor_continues_if_the_state_cannot_be_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = monitored(tmp_path / "missing" / "state", batches=drawn_batches(3, 1))
    record = next(each for each in caplog.records if "cannot be saved" in each.getMessage())
    assert record.getMessage() == "The drift state cannot be saved."
    fields = record.__dict__["fields"]
    assert fields["file"] == str(tmp_path / "missing" / "state")
    assert fields["error"] == "No such file or directory"
    assert {"model", "version"} <= fields.keys()
    assert published.saves == ["failed", "failed"]
    assert published.steps[-1] == 7


def test_drift_metrics_exceed_the_limit_after_a_flood_of_outliers(
    bundle_folder: Path, tmp_path: Path, model: LoadedModel
) -> None:
    assert model.guard.policy == Policy(score="brightness")
    files = [("files", encode(plain(WHITE))) for _ in range(100)]
    settings = Settings(bundle=bundle_folder, state=tmp_path, drift_delta=0.02)
    with TestClient(create_app(settings)) as client:
        for _ in range(3):
            assert client.post("/predict", files=files).status_code == 200
        limit = metric(client.get("/metrics").text, "oodguard_drift_log_threshold")
        assert limit == pytest.approx(-np.log(0.02))
    # The shutdown has observed and saved the remaining scores.
    assert (tmp_path / "drift-tiny@1.safetensors").exists()
    with TestClient(create_app(settings)) as client:
        found = client.get("/metrics").text
        assert metric(found, "oodguard_drift_log_martingale", model="tiny", version="1") > limit
        assert metric(found, "oodguard_rejection_log_martingale", model="tiny", version="1") > limit
        assert client.post("/predict", files={"files": encode(plain(BLACK))}).status_code == 200


def test_drift_monitor_of_a_bundle_with_groups_ranks_among_one_image_of_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The scores 250, 249, ... 1; the groups are 250 and 249, 248 and 247, ...
    groups = np.arange(250, dtype=np.int32) // 2
    rows = CalibrationRows(scores=dict.fromkeys(SCORES, CALIBRATION[::-1]), groups=groups)
    folder = tmp_path / "tiny"
    rows_bundle(folder, rows, classes=CLASSES, height=SIZE, width=SIZE, model=graph())
    settings = Settings(bundle=folder, state=tmp_path)
    calibration, monitored, _ = monitoring(load_model(folder, settings), settings)
    assert np.ceil(calibration / 2).tolist() == list(range(1, 126))
    # Earlier commits ranked among all images.
    file = state_file(settings, monitored)
    assert file is not None
    write_state(file, initial_state(250, np.random.default_rng(0)), monitored)
    for images in (1, 2):
        with TestClient(create_app(settings)) as client:
            assert client.post("/predict", files={"files": encode(plain(BLACK))}).status_code == 200
        state = load_file(file)
        assert (len(state["keys"]), state["counts"].sum()) == (125, images)
    (record,) = [each for each in caplog.records if "drift state cannot be" in each.getMessage()]
    assert "'keys': ('float64', (250,))" in record.__dict__["fields"]["error"]
    assert len(load_file(f"{file}.unused")["keys"]) == 250
