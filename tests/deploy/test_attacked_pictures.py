"""The attacked pictures that the deploy lane sends are what they are said to be."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oodguard.service.inference.model import load_model
from oodguard.service.predict_files import predict_files
from oodguard.service.settings import Settings
from tests.deploy.lane.traffic import ATTACKED, DATA


@pytest.mark.parametrize("picture", ATTACKED, ids=lambda file: file.stem)
def test_a_picture_was_moved_by_at_most_eight_255ths(picture: Path) -> None:
    folder, name = picture.stem.split("-")
    group = DATA / "cifar10" if picture.parent.name == "inliers" else DATA
    before = np.asarray(Image.open(group / folder / f"{name}.png")).astype(int)
    moved = np.abs(np.asarray(Image.open(picture)).astype(int) - before)
    assert 0 < moved.max() <= 8


def test_the_shipped_guard_accepts_all_of_them_and_misreads_those_of_its_classes() -> None:
    settings = Settings()
    judged, refused = predict_files(load_model(settings.bundle, settings), ATTACKED, settings)
    assert refused == []
    assert {verdict.decision for _, verdict in judged} == {"accept"}
    # An inlier's file is named after its class.
    assert [file for file, verdict in judged if file.stem.startswith(f"{verdict.label}-")] == []
