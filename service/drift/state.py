"""The state of the drift tests, and the file that preserves it across restarts."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from oodguard.models.bundle import Bundle
from oodguard.models.calibration import Scores
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.group_calibration import one_per_group
from oodguard.models.policy_thresholds import policy_thresholds
from oodguard.models.safe_arrays import load_arrays
from oodguard.service.drift.betting import (
    HISTOGRAM_MEMORIES,
    ODDS_RATIOS,
    empty_histograms,
    fixed_bets,
    null_rejection_rate,
)
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence, initial_evidence
from oodguard.service.drift.ranks import sort_calibration
from oodguard.service.errors import DriftStateError, UnreadableFile
from oodguard.service.regular_file import read_regular_file, write_new_file

Floats = NDArray[np.float64]

Arrays = dict[str, NDArray[np.float64] | NDArray[np.int64]]

RANK_BETS = fixed_bets().shape[1] + len(HISTOGRAM_MEMORIES)

FORMAT = "oodguard-drift-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitoredScore:
    """A bundle's deciding score under a policy: what a state is evidence about.

    Attributes:
        model: The bundle's name.
        version: The bundle's version.
        bundle: The bundle's sha256.
        score: The name of the deciding score.
        threshold: The score above which an image is rejected; by class, that of all classes
            together.
        rate: The rejection rate that is bet against.
        by_class: Whether the threshold depends on the predicted class. The rejections are then
            observed in addition to the scores.
    """

    model: str
    version: str
    bundle: str
    score: str
    threshold: float
    rate: float
    by_class: bool = False


def monitored_score(bundle: Bundle, policy: Policy, limits: AlarmLimits) -> MonitoredScore:
    """Return the score to monitor if `bundle` is served under `policy`.

    Raises:
        CalibrationError: The bundle has too few calibration scores for the policy.
    """
    thresholds = policy_thresholds(bundle, policy)
    return MonitoredScore(
        model=bundle.manifest.name,
        version=bundle.manifest.version,
        bundle=bundle.sha256,
        score=policy.score,
        threshold=thresholds.pool.threshold,
        rate=null_rejection_rate(thresholds, policy, delta=limits.delta),
        by_class=thresholds.single is None,
    )


def reference_scores(rows: CalibrationRows, score: str) -> NDArray[np.float32]:
    """Return the calibration scores `(m,)` that those of the traffic are ranked among, ascending.

    Of each group there is one: the scores of a group resemble each other, so that all of them are
    not exchangeable with the scores of new groups.
    """
    scores = rows.scores[score]
    # Ascending, because the keys of a saved state are in the order of the scores.
    return np.sort(scores if rows.groups is None else scores[one_per_group(rows.groups)])


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftState:
    """The state of both tests.

    Attributes:
        keys: Tie-breaking keys of the calibration scores, `(m,)`.
        counts: The urn's counts by slot, `(m + 1,)`.
        histograms: Faded counts of ranks for the learned bets, `(memories, cells)`.
        ranks: Evidence that scores are not exchangeable with the calibration scores.
        rejections: Evidence that the rejection rate is too high.
    """

    keys: Floats
    counts: NDArray[np.int64]
    histograms: Floats
    ranks: DriftEvidence
    rejections: DriftEvidence


def initial_state(calibration_images: int, random: np.random.Generator) -> DriftState:
    """Return the state before the first score."""
    return DriftState(
        keys=random.random(calibration_images),
        counts=np.zeros(calibration_images + 1, dtype=np.int64),
        histograms=empty_histograms(),
        ranks=initial_evidence(RANK_BETS),
        rejections=initial_evidence(len(ODDS_RATIOS)),
    )


def without_rejections(state: DriftState) -> DriftState:
    """Return the state to continue with under another policy of the same score.

    Ranks do not depend on the policy. Rejections are evidence about one threshold and one rate, so
    that their test starts again.
    """
    return replace(state, rejections=initial_evidence(len(ODDS_RATIOS)))


def write_state(path: Path, state: DriftState, monitored: MonitoredScore) -> None:
    """Write `state` to `path` atomically.

    Raises:
        OSError: The file cannot be written; the previous file is unchanged.
    """
    content = save(_to_arrays(state), metadata=_metadata(monitored))
    # A constant name, so that the next write replaces a partial file of a killed process.
    partial = path.with_name(path.name + ".new")
    write_new_file(partial, content, sync=True)
    partial.replace(path)


def read_state(
    path: Path, monitored: MonitoredScore, calibration: Scores, random: np.random.Generator
) -> DriftState:
    """Read the state at `path`; return the initial state if the file does not exist.

    Args:
        path: The file that `write_state` wrote.
        monitored: The score that is monitored now.
        calibration: Its calibration scores, `(m,)`.
        random: Generator of the initial state's keys.

    Returns:
        The state, see `without_rejections` if the threshold or the rate differ.

    Raises:
        DriftStateError: The file cannot be read, is damaged, or is about another score.
    """
    initial = initial_state(len(calibration), random)
    content = _read(path, max_bytes=16 * len(calibration) + 2**16)
    if content is None:
        return initial
    try:
        arrays = load_arrays(content)
    except ValueError as error:
        raise DriftStateError(f"{path} is damaged: {error}") from error
    metadata = _read_metadata(content)
    expected_metadata = _metadata(monitored)
    differences = [
        f"{key} is {metadata.get(key)!r}, expected {expected_metadata[key]!r}"
        for key in ("format", "bundle", "score")
        if metadata.get(key) != expected_metadata[key]
    ]
    if differences:
        raise DriftStateError(f"{path} is for another score: {'; '.join(differences)}")
    expected, received = _shapes(_to_arrays(initial)), _shapes(arrays)
    if received != expected:
        raise DriftStateError(f"{path} holds {received}, expected {expected}")
    state = DriftState(
        keys=arrays["keys"],
        counts=arrays["counts"],
        histograms=arrays["faded"],
        ranks=_evidence("ranks", arrays),
        rejections=_evidence("rejections", arrays),
    )
    if not _is_consistent(state, calibration):
        raise DriftStateError(f"{path} holds values that no sequence of scores produces")
    # Releases without policies by class did not write this key.
    metadata = {"by_class": repr(False), **metadata}
    keys = ("threshold", "rate", "by_class")
    same = all(metadata.get(key) == expected_metadata[key] for key in keys)
    return state if same else without_rejections(state)


def _read(path: Path, *, max_bytes: int) -> bytes | None:
    try:
        return read_regular_file(path, max_bytes)
    except FileNotFoundError:
        return None
    except UnreadableFile as error:
        raise DriftStateError(str(error)) from error


def _metadata(monitored: MonitoredScore) -> dict[str, str]:
    fields = asdict(monitored).items()
    texts = {name: value if isinstance(value, str) else repr(value) for name, value in fields}
    return {"format": FORMAT, **texts}


def _read_metadata(content: bytes) -> Mapping[str, str]:
    """Return the metadata of a valid safetensors file."""
    length = int.from_bytes(content[:8], "little")
    header: Mapping[str, Mapping[str, str]] = json.loads(content[8 : 8 + length])
    return header.get("__metadata__", {})


def _shapes(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (str(array.dtype), array.shape) for name, array in sorted(arrays.items())}


def _is_consistent(state: DriftState, calibration: Scores) -> bool:
    arrays = _to_arrays(state)
    return bool(
        not any(np.isnan(array).any() or (array == np.inf).any() for array in arrays.values())
        and state.counts.min() >= 0
        # A new policy starts the test of the rejections again.
        and state.counts.sum() == state.ranks.steps >= state.rejections.steps >= 0
        and state.histograms.min() >= 0
        and (sort_calibration(calibration, state.keys).imag == state.keys).all()
    )


def _to_arrays(state: DriftState) -> Arrays:
    # The names of the format oodguard-drift-1: `faded` are the histograms, `log_playing` is the
    # staked wealth.
    arrays: Arrays = {"keys": state.keys, "counts": state.counts, "faded": state.histograms}
    for name, evidence in (("ranks", state.ranks), ("rejections", state.rejections)):
        arrays[f"{name}.steps"] = np.array([evidence.steps, evidence.alarms])
        arrays[f"{name}.log_peak"] = np.array([evidence.log_peak])
        arrays[f"{name}.log_playing"] = evidence.log_staked
        arrays[f"{name}.log_restarting"] = evidence.log_restarting
    return arrays


def _evidence(name: str, arrays: dict[str, Any]) -> DriftEvidence:
    steps, alarms = arrays[f"{name}.steps"].tolist()
    return DriftEvidence(
        steps=steps,
        alarms=alarms,
        log_peak=arrays[f"{name}.log_peak"].item(),
        log_staked=arrays[f"{name}.log_playing"],
        log_restarting=arrays[f"{name}.log_restarting"],
    )
