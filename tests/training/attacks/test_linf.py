import torch

from oodguard.training.attacks.base import project


def test_projection_cuts_to_the_ball_and_to_the_pixel_range() -> None:
    centre = torch.tensor([0.5, 0.5, 0.05, 0.95])
    moved = torch.tensor([0.9, 0.45, -0.5, 1.5])
    expected = torch.tensor([0.6, 0.45, 0.0, 1.0])
    torch.testing.assert_close(project(moved, centre, 0.1), expected)
