"""Tiny bundles, deterministic property tests without deadlines, and the output of commands."""

import signal
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from oodguard.command_line import output, progress
from oodguard.models.bundle import Bundle, write_bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.manifest import ROWS_VERSION, Description, InputSpec
from oodguard.models.records import AttackRecord, DataRecord, TrainingRecord

settings.register_profile("deterministic", deadline=None, derandomize=True, database=None)
settings.load_profile("deterministic")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so. The commands of the tests inherit it, and tests of Ctrl-C
    # would wait forever.
    signal.signal(signal.SIGINT, signal.default_int_handler)

progress.POLL_S = 3600
"""No line about a step that takes longer on a busy machine is among those that a test expects."""


@pytest.fixture(autouse=True)
def command_output() -> None:
    """Start every test as a new command: the options for output are the state of a process."""
    output.start("oodguard")


def describe(
    *,
    scores: Sequence[str],
    classes: Sequence[str],
    height: int,
    width: int,
) -> Description:
    return Description(
        name="tiny",
        version="1",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        classes=tuple(classes),
        input=InputSpec(height=height, width=width),
        scores=tuple(scores),
        default_score=scores[0],
        training=TrainingRecord(
            method="aloe",
            network="resnet8",
            parameters=7,
            epsilon=2 / 255,
            attack_steps=1,
            inliers=DataRecord(name="inliers", images=10),
            outliers=None,
            seed=0,
            epochs=1,
            duration_s=1.5,
            hardware="2 cores",
            command="oodguard-train fit tiny.toml",
            libraries={"torch": "2.13.0"},
        ),
    )


def build_bundle(  # noqa: PLR0913 - each has a default
    folder: Path,
    *,
    n_calibration: int = 400,
    scores: Sequence[str] = ("msp", "max_logit", "energy"),
    classes: Sequence[str] = ("cat", "dog", "ship"),
    height: int = 32,
    width: int = 32,
    model: bytes = b"not a graph, but bytes nevertheless",
    name: str = "tiny",
    version: str = "1",
    qualities: Mapping[str, NDArray[np.float32]] | None = None,
) -> Bundle:
    """Write a bundle to `folder`; the calibration of every score is 1, 2, ... n, shuffled."""
    ranks = np.arange(1, n_calibration + 1, dtype=np.float32)
    shuffled = np.random.default_rng(0).permutation(ranks)
    return rows_bundle(
        folder,
        CalibrationRows(scores=dict.fromkeys(scores, shuffled), qualities=qualities or {}),
        classes=classes,
        height=height,
        width=width,
        model=model,
        name=name,
        version=version,
    )


def rows_bundle(  # noqa: PLR0913 - each has a default
    folder: Path,
    rows: CalibrationRows,
    *,
    classes: Sequence[str] = ("cat", "dog", "ship"),
    height: int = 32,
    width: int = 32,
    model: bytes = b"not a graph, but bytes nevertheless",
    name: str = "tiny",
    version: str = "1",
) -> Bundle:
    """Write a bundle with these calibration rows to `folder`."""
    description = describe(scores=tuple(rows.scores), classes=classes, height=height, width=width)
    changes: dict[str, object] = {"name": name, "version": version}
    if rows.attacked:
        changes |= {
            "schema_version": ROWS_VERSION,
            "calibration_attack": AttackRecord(
                method="APGD, 20 steps", images=len(rows), duration_s=1
            ),
        }
    return write_bundle(
        folder,
        description=description.model_copy(update=changes),
        model=model,
        calibration=rows,
        evaluation={"accuracy": 0.5},
        card="# tiny\n",
    )
