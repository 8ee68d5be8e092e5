"""All that the tests know, as data: what a restart must not lose."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from oodguard.models.bundle import Bundle
from oodguard.models.calibration import Scores
from oodguard.models.decision import Policy, threshold
from oodguard.service.drift.betting import MEMORIES, ODDS, fixed_bets, honest_rate, nothing_learned
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence, no_evidence
from oodguard.service.drift.ranks import ladder
from oodguard.service.errors import DriftStateError

Floats = NDArray[np.float64]

RANK_BETS = fixed_bets().shape[1] + len(MEMORIES)


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftState:
    """What came of a stream of scores so far.

    `keys` `(m,)` tell equal calibration scores apart; `counts` `(m + 1,)` are the urn; `faded`
    `(memories, cells)` what the learner remembers; then the evidence of both tests.
    """

    keys: Floats
    counts: NDArray[np.int64]
    faded: Floats
    ranks: DriftEvidence
    rejections: DriftEvidence


def initial_state(calibration_images: int, random: np.random.Generator) -> DriftState:
    """Return the state before any score."""
    return DriftState(
        keys=random.random(calibration_images),
        counts=np.zeros(calibration_images + 1, dtype=np.int64),
        faded=nothing_learned(),
        ranks=no_evidence(RANK_BETS),
        rejections=no_evidence(len(ODDS)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitoredScore:
    """A bundle under a policy.

    `bundle` is the bundle's sha256, `score` the one that decides, `threshold` what it rejects
    above; `rate` is the rate of rejections that is bet against.
    """

    bundle: str
    score: str
    threshold: float
    rate: float


def monitored_score(bundle: Bundle, policy: Policy, limits: AlarmLimits) -> MonitoredScore:
    """Return what is to be watched where `bundle` is served under `policy`.

    Raises:
        CalibrationError: the bundle has too few calibration scores for the policy.
    """
    calibration = bundle.calibration[policy.score]
    return MonitoredScore(
        bundle=bundle.sha256,
        score=policy.score,
        threshold=threshold(calibration, policy),
        rate=honest_rate(len(calibration), policy, delta=limits.delta),
    )


FORMAT = "oodguard-drift-1"

REMEDY = "Remove the file to start over, with no evidence"

Arrays = dict[str, NDArray[np.float64] | NDArray[np.int64]]


def write_state(path: Path, state: DriftState, subject: MonitoredScore) -> None:
    """Write `state` to `path`; whatever stops it, the file is the old one or the new one.

    Raises:
        OSError: the file cannot be written; the old one is as it was.
    """
    content = save(_to_arrays(state), metadata=_metadata(subject))
    # Always of one name, so that what a killed process leaves behind is overwritten by the next.
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read_state(
    path: Path, subject: MonitoredScore, calibration: Scores, random: np.random.Generator
) -> DriftState:
    """Read the state at `path`, or return a fresh one where there is no file.

    Args:
        path: Where `write_state` wrote.
        subject: What is watched now.
        calibration: The subject's calibration scores, `(m,)`.
        random: What a fresh state's keys are drawn from.

    Raises:
        DriftStateError: the file cannot be read, is damaged, or is about another subject.
    """
    fresh = initial_state(len(calibration), random)
    content = _read(path, most=16 * len(calibration) + 2**16)
    if content is None:
        return fresh
    try:
        arrays = load(content)
    except SafetensorError as error:
        raise DriftStateError(f"{path} is damaged ({error}). {REMEDY}") from error
    _check_subject(path, _metadata_of(content), _metadata(subject))
    wanted, found = _shapes(_to_arrays(fresh)), _shapes(arrays)
    if found != wanted:
        raise DriftStateError(f"{path} holds {found}; wanted {wanted}. {REMEDY}")
    state = _from_arrays(arrays)
    if not _is_sound(state, calibration):
        raise DriftStateError(f"{path} holds values that no stream of scores leads to. {REMEDY}")
    return state


def _read(path: Path, *, most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DriftStateError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise DriftStateError(f"{path} has more than {most} bytes, the most there can be. {REMEDY}")
    return content


def _metadata(subject: MonitoredScore) -> dict[str, str]:
    return {
        "format": FORMAT,
        "bundle": subject.bundle,
        "score": subject.score,
        "threshold": repr(subject.threshold),
        "rate": repr(subject.rate),
    }


def _metadata_of(content: bytes) -> Mapping[str, str]:
    """Return the metadata of safetensors that were loaded without complaint."""
    length = int.from_bytes(content[:8], "little")
    header: Mapping[str, Mapping[str, str]] = json.loads(content[8 : 8 + length])
    return header.get("__metadata__", {})


def _check_subject(path: Path, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    differing = [
        f"{key} {found.get(key)!r} where {value!r} is wanted"
        for key, value in wanted.items()
        if found.get(key) != value
    ]
    if differing:
        raise DriftStateError(f"{path} is evidence about {', '.join(differing)}. {REMEDY}")


def _shapes(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (str(each.dtype), each.shape) for name, each in sorted(arrays.items())}


def _is_sound(state: DriftState, calibration: Scores) -> bool:
    arrays = _to_arrays(state)
    return bool(
        not any(np.isnan(each).any() or (each == np.inf).any() for each in arrays.values())
        and state.counts.min() >= 0
        and state.counts.sum() == state.ranks.steps == state.rejections.steps
        and state.faded.min() >= 0
        and (ladder(calibration, state.keys).imag == state.keys).all()
    )


def _to_arrays(state: DriftState) -> Arrays:
    return {
        "keys": state.keys,
        "counts": state.counts,
        "faded": state.faded,
        **_evidence_to_arrays("ranks", state.ranks),
        **_evidence_to_arrays("rejections", state.rejections),
    }


def _from_arrays(arrays: Arrays) -> DriftState:
    return DriftState(
        keys=arrays["keys"].astype(np.float64),
        counts=arrays["counts"].astype(np.int64),
        faded=arrays["faded"].astype(np.float64),
        ranks=_evidence_from_arrays("ranks", arrays),
        rejections=_evidence_from_arrays("rejections", arrays),
    )


def _evidence_to_arrays(name: str, evidence: DriftEvidence) -> Arrays:
    return {
        f"{name}.steps": np.array([evidence.steps, evidence.alarms]),
        f"{name}.log_peak": np.array([evidence.log_peak]),
        f"{name}.log_playing": evidence.log_playing,
        f"{name}.log_restarting": evidence.log_restarting,
    }


def _evidence_from_arrays(name: str, arrays: Arrays) -> DriftEvidence:
    steps, alarms = arrays[f"{name}.steps"].tolist()
    return DriftEvidence(
        steps=int(steps),
        alarms=int(alarms),
        log_peak=float(arrays[f"{name}.log_peak"][0]),
        log_playing=arrays[f"{name}.log_playing"].astype(np.float64),
        log_restarting=arrays[f"{name}.log_restarting"].astype(np.float64),
    )
