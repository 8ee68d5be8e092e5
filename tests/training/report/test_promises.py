"""The card's table of attacked calibration images."""

import numpy as np

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.records import AttackRecord
from oodguard.training.report.promises import attacked_images


def test_attacked_images_are_counted_by_group() -> None:
    """An attack raises both images of one group, and none of the six of the other."""
    rows = CalibrationRows(
        scores={"energy": np.arange(8, dtype=np.float32)},
        attacked={2: np.array([0] * 6 + [99] * 2, np.float32)},
        groups=np.array([0] * 6 + [1] * 2),
    )
    record = AttackRecord(method="APGD", images=8, duration_s=1)
    policy = Policy(score="energy", alpha=0.5, delta=None)
    _, table = attacked_images(record, rows, policy)
    assert table.splitlines()[2].startswith("| 2/255 | 50 % |")  # of the images 25 %
