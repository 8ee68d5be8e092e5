import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from oodguard.service.drift.detector import DriftDetector
from oodguard.service.drift.martingale import AlarmLimits
from oodguard.service.drift.state import DriftState, MonitoredScore, read_state, write_state
from oodguard.service.errors import DriftStateError
from tests.service.drift.drift_streams import MONITORED, detector, drawn

CALIBRATION, STREAM = drawn(40, 1000, seed=0)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def _after(count: int) -> DriftDetector:
    tested = detector(CALIBRATION)
    tested.observe(STREAM[:count], np.random.default_rng(0))
    return tested


def _read(
    path: Path,
    monitored: MonitoredScore = MONITORED,
    calibration: NDArray[np.float64] = CALIBRATION,
) -> DriftState:
    return read_state(path, monitored, calibration, np.random.default_rng(1))


def _values(state: DriftState) -> list[object]:
    arrays = [state.keys, state.counts, state.histograms]
    scalars: list[object] = []
    for each in (state.ranks, state.rejections):
        arrays += [each.log_staked, each.log_restarting]
        scalars += [each.steps, each.alarms, each.log_peak]
    return [*(array.tolist() for array in arrays), *scalars]


def test_drift_state_continues_a_stream_bit_for_bit(path: Path) -> None:
    stream = np.concatenate([STREAM[:400], STREAM[400:] + 1]).round(1)  # with ties
    whole, first = detector(CALIBRATION.round(1)), detector(CALIBRATION.round(1))
    for tested in (whole, first):
        tested.observe(stream[:500], np.random.default_rng(5))
    write_state(path, first.state, MONITORED)
    second = detector(CALIBRATION.round(1), _read(path, calibration=CALIBRATION.round(1)))
    for tested in (whole, second):
        tested.observe(stream[500:], np.random.default_rng(6))
    assert _values(second.state) == _values(whole.state)
    assert whole.ranks.alarms > 0


@pytest.mark.parametrize("kind", ["pipe", "link", "partial file"])
def test_drift_state_is_written_in_place_of_what_has_the_partial_name(
    path: Path, kind: str
) -> None:
    partial, target = path.with_name("state.new"), path.with_name("target")
    target.write_bytes(b"unchanged")
    if kind == "pipe":
        os.mkfifo(partial)
    elif kind == "link":
        partial.symlink_to(target)
    else:
        partial.write_bytes(b"a")
    state = _after(10).state
    write_state(path, state, MONITORED)
    assert _values(_read(path)) == _values(state)
    assert target.read_bytes() == b"unchanged"
    assert not partial.exists()


def test_drift_state_without_a_file_is_the_initial_state(path: Path) -> None:
    state = _read(path)
    assert state.ranks.steps == state.counts.sum() == 0
    assert len(set(state.keys.tolist())) == len(CALIBRATION)


def test_drift_state_file_has_a_constant_size(path: Path) -> None:
    sizes = set()
    for count in (1, 10, 1000):
        write_state(path, _after(count).state, MONITORED)
        sizes.add(path.stat().st_size)
    assert len(sizes) == 1


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (replace(MONITORED, bundle="cd" * 32), f"bundle is '{'ab' * 32}', expected '{'cd' * 32}'"),
        (replace(MONITORED, score="msp"), "score is 'energy', expected 'msp'"),
    ],
)
def test_drift_state_of_another_score_is_rejected(
    path: Path, other: MonitoredScore, difference: str
) -> None:
    write_state(path, _after(10).state, MONITORED)
    with pytest.raises(DriftStateError) as caught:
        _read(path, other)
    assert str(caught.value) == (f"{path} is for another score: {difference}")


@pytest.mark.parametrize("other", [{"threshold": 2.0}, {"rate": 0.01}])
def test_drift_state_under_another_policy_has_its_ranks_and_no_rejections(
    path: Path, other: dict[str, float]
) -> None:
    before = _after(100).state
    write_state(path, before, MONITORED)
    other_policy = replace(MONITORED, **other)  # type: ignore[arg-type]
    state = _read(path, other_policy)
    assert _values(replace(state, rejections=before.rejections)) == _values(before)
    assert (state.rejections.steps, state.rejections.log_martingale) == (0, 0)
    # The state continues, and can be saved and read again.
    tested = DriftDetector(CALIBRATION, other_policy, AlarmLimits(), state)
    tested.observe(STREAM[100:150], np.random.default_rng(2))
    assert (tested.ranks.steps, tested.rejections.steps) == (150, 50)
    write_state(path, tested.state, other_policy)
    assert _values(_read(path, other_policy)) == _values(tested.state)


def test_drift_state_of_another_calibration_size_is_rejected(path: Path) -> None:
    write_state(path, _after(10).state, MONITORED)
    with pytest.raises(DriftStateError, match=r"'counts': \('int64', \(41,\)\).*expected.*\(40,\)"):
        _read(path, calibration=CALIBRATION[1:])


def test_drift_state_rejects_a_type_that_numpy_lacks(path: Path) -> None:
    header = b'{"keys": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(DriftStateError, match="state is damaged: NumPy has no type 'BF16'"):
        _read(path)


@pytest.mark.parametrize("size", [0, 7, 500, -1])
def test_drift_state_rejects_a_truncated_file(path: Path, size: int) -> None:
    write_state(path, _after(10).state, MONITORED)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DriftStateError, match="state is damaged: "):
        _read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (save({"counts": np.zeros(3)}), "format is None, expected 'oodguard-drift-1'"),
        (bytes(200_000), "larger than the limit of 66176 bytes"),
        (None, "is a folder, expected a regular file"),
    ],
)
def test_drift_state_rejects_foreign_file(path: Path, content: bytes | None, message: str) -> None:
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(DriftStateError, match=message):
        _read(path)


def test_drift_state_rejects_a_named_pipe(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(DriftStateError, match="not a regular file"):
        _read(path)


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
def test_drift_state_rejects_inconsistent_values(path: Path, name: str, value: float) -> None:
    tied = CALIBRATION.round(0)
    write_state(path, detector(tied).state, MONITORED)
    arrays = load(path.read_bytes())
    metadata = {
        "format": "oodguard-drift-1",
        "bundle": MONITORED.bundle,
        "score": "energy",
        "threshold": "1.6",
        "rate": "0.1",
    }
    path.write_bytes(save(arrays, metadata=metadata))
    _read(path, calibration=tied)
    arrays[name] = arrays[name].copy()
    arrays[name].flat[10 if name == "keys" else 0] = value
    path.write_bytes(save(arrays, metadata=metadata))
    with pytest.raises(DriftStateError, match="values that no sequence of scores produces"):
        _read(path, calibration=tied)


def test_write_state_keeps_the_old_file_if_it_fails(path: Path) -> None:
    write_state(path, _after(10).state, MONITORED)
    path.with_name("state.new").mkdir()
    with pytest.raises(IsADirectoryError):
        write_state(path, _after(20).state, MONITORED)
    assert _read(path).ranks.steps == 10


def test_write_state_replaces_a_partial_file(path: Path) -> None:
    path.with_name("state.new").write_bytes(b"half a st")
    write_state(path, _after(20).state, MONITORED)
    assert _read(path).ranks.steps == 20
    assert [each.name for each in path.parent.iterdir()] == ["state"]
