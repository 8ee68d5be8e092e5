"""The attacked images that the compose tests send."""

from oodguard.service.inference.model import load_model
from oodguard.service.predict_files import predict_files
from oodguard.service.settings import Settings
from tests.deploy.compose.traffic import ATTACKED


def test_default_bundle_accepts_attacked_images_and_misclassifies_inliers() -> None:
    settings = Settings()
    verdicts, failed = predict_files(load_model(settings.bundle, settings), ATTACKED, settings)
    assert failed == []
    assert {verdict.decision for _, verdict in verdicts} == {"accept"}
    # The file of an inlier is named after its class.
    assert [file for file, verdict in verdicts if file.stem.startswith(f"{verdict.label}-")] == []
