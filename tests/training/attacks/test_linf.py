import torch

from training.attacks.linf import project, random_start


def test_projection_cuts_to_the_ball_and_to_the_pixel_range() -> None:
    centre = torch.tensor([0.5, 0.5, 0.05, 0.95])
    moved = torch.tensor([0.9, 0.45, -0.5, 1.5])
    expected = torch.tensor([0.6, 0.45, 0.0, 1.0])
    torch.testing.assert_close(project(moved, centre, 0.1), expected)


def test_a_random_start_is_real_valued_even_at_one_255th() -> None:
    epsilon = 1 / 255
    centre = torch.full((1000,), 0.5)
    moved = random_start(centre, epsilon, torch.Generator().manual_seed(0)) - centre
    assert moved.abs().max() <= epsilon + 1e-7
    # Uniform on [-epsilon, epsilon] has standard deviation epsilon / sqrt(3).
    torch.testing.assert_close(moved.std(), torch.tensor(epsilon / 3**0.5), rtol=0.1, atol=0)


def test_a_random_start_stays_in_the_pixel_range() -> None:
    start = random_start(torch.tensor([0.0, 1.0]), 0.5, torch.Generator().manual_seed(0))
    assert ((start >= 0) & (start <= 1)).all()
