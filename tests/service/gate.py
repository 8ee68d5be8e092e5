"""Hold the runs of the model until a test releases them."""

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
        predict = CalibratedModel.predict

        def hold(guard: CalibratedModel, images: NDArray[np.uint8]) -> Verdicts:
            self.threads.add(threading.current_thread().name)
            self.entered.set()
            assert self.opened.wait(20)
            return predict(guard, images)

        monkeypatch.setattr(CalibratedModel, "predict", hold)
