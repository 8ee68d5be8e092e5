import pytest
import torch

from oodguard.training.fit.distributed import divisible


@pytest.mark.parametrize(
    ("inliers", "outliers", "processes", "left"),
    [(30, 30, 1, 30), (31, 30, 2, 29), (30, 27, 4, 26), (30, 30, 4, 30), (31, 0, 2, 0)],
)
def test_so_many_outliers_are_left_that_processes_have_equal_shares(
    inliers: int, outliers: int, processes: int, left: int
) -> None:
    kept = divisible(inliers, torch.arange(outliers), processes=processes)
    assert kept.tolist() == list(range(left))
