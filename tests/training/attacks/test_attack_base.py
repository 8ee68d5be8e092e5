import pytest
import torch

from oodguard.training.attacks.base import (
    GAUSSIAN_SIGMA,
    BestIterates,
    Start,
    decontrasted,
    gaussian,
    project,
    uniform,
    unperturbed,
)

CLEAN = torch.zeros(3, 1, 1, 1)
EPSILON = 8 / 255


def test_project_clamps_to_the_ball_and_to_the_pixel_range() -> None:
    centre = torch.tensor([0.5, 0.5, 0.05, 0.95])
    moved = torch.tensor([0.9, 0.45, -0.5, 1.5])
    expected = torch.tensor([0.6, 0.45, 0.0, 1.0])
    torch.testing.assert_close(project(moved, centre, 0.1), expected)


def test_best_iterates_keep_only_higher_values() -> None:
    best = BestIterates(CLEAN, torch.tensor([1.0, 1.0, 1.0]))
    iterates = torch.tensor([5.0, 6.0]).view(2, 1, 1, 1)
    better = best.update(torch.tensor([0, 2]), iterates, torch.tensor([2.0, 1.0]))
    assert better.tolist() == [True, False]  # a tie changes nothing
    assert best.images.flatten().tolist() == [5.0, 0.0, 0.0]
    assert best.values.tolist() == [2.0, 1.0, 1.0]
    assert CLEAN.abs().max() == 0


def test_best_iterates_rank_nan_below_every_number() -> None:
    best = BestIterates(CLEAN, torch.tensor([torch.nan, 1.0, torch.nan]))
    iterates = torch.ones(3, 1, 1, 1)
    best.update(torch.arange(3), iterates, torch.tensor([-9.0, torch.nan, torch.nan]))
    assert best.images.flatten().tolist() == [1.0, 0.0, 0.0]


def test_best_iterates_are_unfinished_below_stop_at() -> None:
    best = BestIterates(CLEAN, torch.tensor([1.0, 2.0, 3.0]))
    assert best.unfinished(2.0).tolist() == [0]
    assert best.unfinished(None).tolist() == [0, 1, 2]


@pytest.mark.parametrize("start", [unperturbed, uniform, decontrasted, gaussian])
@pytest.mark.parametrize("epsilon", [0.0, 1 / 255, 0.5])
def test_start_is_in_the_ball_and_in_the_pixel_range(start: Start, epsilon: float) -> None:
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    images[0, 0] = 0
    images[0, 1] = 1
    begin = start(images, epsilon, torch.Generator().manual_seed(1))
    assert begin.shape == images.shape
    assert begin.data_ptr() != images.data_ptr()
    assert (begin - images).abs().max() <= epsilon + 1e-7
    assert ((begin >= 0) & (begin <= 1)).all()


@pytest.mark.parametrize(
    ("start", "epsilon", "deviation"),
    # A uniform distribution on [-epsilon, epsilon] has standard deviation epsilon / sqrt(3).
    [(uniform, 1 / 255, 1 / 255 / 3**0.5), (gaussian, EPSILON, GAUSSIAN_SIGMA)],
)
def test_random_start_has_the_expected_deviation(
    start: Start, epsilon: float, deviation: float
) -> None:
    images = torch.full((10, 1, 10, 10), 0.5)
    moved = start(images, epsilon, torch.Generator().manual_seed(0)) - images
    torch.testing.assert_close(moved.std(), torch.tensor(deviation), rtol=0.1, atol=0)


def test_decontrasted_start_moves_towards_the_mean_of_each_image() -> None:
    images = torch.tensor([0.2, 0.4, 0.6, 0.8, 0.0, 0.0, 0.1, 0.1]).view(2, 1, 2, 2)
    begin = decontrasted(images, 0.15, torch.Generator())
    # The means are 0.5 and 0.05; 0.4 and 0.6 are within 0.15 of the first, all of the second are.
    expected = torch.tensor([0.35, 0.5, 0.5, 0.65, 0.05, 0.05, 0.05, 0.05]).view(2, 1, 2, 2)
    torch.testing.assert_close(begin, expected)
