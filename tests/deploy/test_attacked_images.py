"""The attacked images that the compose tests send."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oodguard.service.inference.model import load_model
from oodguard.service.predict_files import predict_files
from oodguard.service.settings import Settings
from tests.deploy.compose.traffic import ATTACKED, DATA


@pytest.mark.parametrize("image", ATTACKED, ids=lambda file: file.stem)
def test_attacked_image_is_within_eight_255ths_of_its_original(image: Path) -> None:
    folder, name = image.stem.split("-")
    group = DATA / "cifar10" if image.parent.name == "inliers" else DATA
    original = np.asarray(Image.open(group / folder / f"{name}.png")).astype(int)
    distance = np.abs(np.asarray(Image.open(image)).astype(int) - original)
    assert 0 < distance.max() <= 8


def test_default_bundle_accepts_attacked_images_and_misclassifies_inliers() -> None:
    settings = Settings()
    verdicts, failed = predict_files(load_model(settings.bundle, settings), ATTACKED, settings)
    assert failed == []
    assert {verdict.decision for _, verdict in verdicts} == {"accept"}
    # The file of an inlier is named after its class.
    assert [file for file, verdict in verdicts if file.stem.startswith(f"{verdict.label}-")] == []
