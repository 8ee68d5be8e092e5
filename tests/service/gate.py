"""Holds the engine where a test wants it."""

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.verdicts import Verdicts


class Gate:
    """Holds every run of the model until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.threads: set[str] = set()
        judge = CalibratedModel.predict

        def held(guard: CalibratedModel, images: NDArray[np.uint8]) -> Verdicts:
            self.threads.add(threading.current_thread().name)
            self.entered.set()
            assert self.opened.wait(20)
            return judge(guard, images)

        monkeypatch.setattr(CalibratedModel, "predict", held)
