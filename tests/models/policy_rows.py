"""Calibration rows of which the thresholds of policies are known."""

from pathlib import Path
from typing import Any

import numpy as np

from oodguard.models.bundle import Bundle
from oodguard.models.calibration_rows import CalibrationRows
from tests.conftest import rows_bundle

N = 400
# Scores 1, 2, ... 400; the classes in turn, except the last ten of class 2.
SCORES = np.arange(1, N + 1, dtype=np.float32)
PREDICTED = np.where(np.arange(N) < 390, np.arange(N) % 2, 2).astype(np.int32)


def bundle(folder: Path, **rows: Any) -> Bundle:
    given = {"scores": {"msp": SCORES, "energy": SCORES[::-1]}, "predicted": PREDICTED, **rows}
    return rows_bundle(folder / "tiny", CalibrationRows(**given))
