from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from oodguard.service.drift.monitor import DriftDetector
from oodguard.service.drift.state import DriftState, MonitoredScore, read_state, write_state
from oodguard.service.errors import DriftStateError
from tests.service.drift.watched import SUBJECT, drawn, monitor

CALIBRATION, STREAM = drawn(40, 1000, seed=0)


def _after(count: int) -> DriftDetector:
    watch = monitor(CALIBRATION)
    watch.observe(STREAM[:count], np.random.default_rng(0))
    return watch


def _read(
    path: Path, subject: MonitoredScore = SUBJECT, calibration: NDArray[np.float64] = CALIBRATION
) -> DriftState:
    return read_state(path, subject, calibration, np.random.default_rng(1))


def _everything(state: DriftState) -> dict[str, object]:
    return {
        "keys": state.keys.tolist(),
        "counts": state.counts.tolist(),
        "faded": state.faded.tolist(),
        **{
            name: (
                each.steps,
                each.alarms,
                each.log_peak,
                each.log_playing.tolist(),
                each.log_restarting.tolist(),
            )
            for name, each in (("ranks", state.ranks), ("rejections", state.rejections))
        },
    }


def test_a_restart_in_mid_stream_changes_nothing_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "drift.safetensors"
    stream = np.concatenate([STREAM[:400], STREAM[400:] + 1]).round(1)  # with ties
    whole, first = monitor(CALIBRATION.round(1)), monitor(CALIBRATION.round(1))
    for watch in (whole, first):
        watch.observe(stream[:500], np.random.default_rng(5))
    write_state(path, first.state, SUBJECT)
    second = monitor(CALIBRATION.round(1), _read(path, calibration=CALIBRATION.round(1)))
    for watch in (whole, second):
        watch.observe(stream[500:], np.random.default_rng(6))
    assert _everything(second.state) == _everything(whole.state)
    assert whole.ranks.alarms > 0


def test_a_state_before_any_score_survives_too(tmp_path: Path) -> None:
    write_state(tmp_path / "state", _after(0).state, SUBJECT)
    assert _everything(_read(tmp_path / "state")) == _everything(_after(0).state)


def test_no_file_is_a_fresh_state_with_keys_of_its_own(tmp_path: Path) -> None:
    state = _read(tmp_path / "state")
    assert state.ranks.steps == state.counts.sum() == 0
    assert len(set(state.keys.tolist())) == len(CALIBRATION)


def test_a_file_never_grows(tmp_path: Path) -> None:
    sizes = set()
    for count in (1, 10, 1000):
        write_state(tmp_path / "state", _after(count).state, SUBJECT)
        sizes.add((tmp_path / "state").stat().st_size)
    assert len(sizes) == 1


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(SUBJECT, bundle="cd" * 32), f"bundle '{'ab' * 32}' where '{'cd' * 32}' is wanted"),
        (replace(SUBJECT, score="msp"), "score 'energy' where 'msp' is wanted"),
        (replace(SUBJECT, threshold=2.0), "threshold '1.6' where '2.0' is wanted"),
        (replace(SUBJECT, rate=0.01), "rate '0.1' where '0.01' is wanted"),
    ],
)
def test_evidence_about_another_subject_is_refused(
    tmp_path: Path, other: MonitoredScore, named: str
) -> None:
    write_state(tmp_path / "state", _after(10).state, SUBJECT)
    with pytest.raises(DriftStateError) as caught:
        _read(tmp_path / "state", other)
    assert str(caught.value) == (
        f"{tmp_path}/state is evidence about {named}. Remove the file to start over,"
        " with no evidence"
    )


def test_a_calibration_set_of_another_size_is_refused(tmp_path: Path) -> None:
    write_state(tmp_path / "state", _after(10).state, SUBJECT)
    with pytest.raises(DriftStateError, match=r"'counts': \('int64', \(41,\)\).*wanted.*\(40,\)"):
        _read(tmp_path / "state", calibration=CALIBRATION[1:])


@pytest.mark.parametrize("size", [0, 7, 500, -1])
def test_a_damaged_file_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "state"
    write_state(path, _after(10).state, SUBJECT)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DriftStateError, match=r"state is damaged \(.*\)\. Remove the file"):
        _read(path)


def test_safetensors_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(save({"counts": np.zeros(3)}))
    with pytest.raises(DriftStateError, match="format None where 'oodguard-drift-1' is wanted"):
        _read(tmp_path / "state")


def test_a_file_larger_than_any_state_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(bytes(200_000))
    with pytest.raises(DriftStateError, match="has more than 66176 bytes"):
        _read(tmp_path / "state")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DriftStateError, match="cannot be read: Is a directory"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("counts", -1),
        ("counts", 1000),
        ("faded", -1.0),
        ("keys", 2.0),
        ("ranks.log_playing", np.nan),
        ("rejections.log_restarting", np.inf),
        ("rejections.steps", 9),
    ],
)
def test_values_that_no_stream_leads_to_are_refused(
    tmp_path: Path, name: str, value: float
) -> None:
    path = tmp_path / "state"
    tied = CALIBRATION.round(0)
    write_state(path, monitor(tied).state, SUBJECT)
    arrays = load(path.read_bytes())
    metadata = {
        "format": "oodguard-drift-1",
        "bundle": SUBJECT.bundle,
        "score": "energy",
        "threshold": "1.6",
        "rate": "0.1",
    }
    path.write_bytes(save(arrays, metadata=metadata))
    _read(path, calibration=tied)
    arrays[name] = arrays[name].copy()
    arrays[name].flat[10 if name == "keys" else 0] = value
    path.write_bytes(save(arrays, metadata=metadata))
    with pytest.raises(DriftStateError, match="values that no stream of scores leads to"):
        _read(path, calibration=tied)


def test_a_write_that_fails_leaves_the_old_state(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_state(path, _after(10).state, SUBJECT)
    (tmp_path / "state.new").mkdir()
    with pytest.raises(IsADirectoryError):
        write_state(path, _after(20).state, SUBJECT)
    assert _read(path).ranks.steps == 10


def test_what_a_killed_write_left_behind_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "state"
    (tmp_path / "state.new").write_bytes(b"half a st")
    write_state(path, _after(20).state, SUBJECT)
    assert _read(path).ranks.steps == 20
    assert [each.name for each in tmp_path.iterdir()] == ["state"]
