import pytest
import torch

from oodguard.training.attacks.base import (
    GAUSSIAN_SIGMA,
    Start,
    decontrasted,
    gaussian,
    uniform,
    unperturbed,
)

EPSILON = 8 / 255


@pytest.mark.parametrize("start", [unperturbed, uniform, decontrasted, gaussian])
@pytest.mark.parametrize("epsilon", [0.0, 1 / 255, 0.5])
def test_every_start_is_in_the_ball_and_in_the_pixel_range(start: Start, epsilon: float) -> None:
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    images[0, 0] = 0
    images[0, 1] = 1
    begun = start(images, epsilon, torch.Generator().manual_seed(1))
    assert begun.shape == images.shape
    assert begun.data_ptr() != images.data_ptr()
    assert (begun - images).abs().max() <= epsilon + 1e-7
    assert ((begun >= 0) & (begun <= 1)).all()


def test_a_uniform_start_is_real_valued_even_at_one_255th() -> None:
    epsilon = 1 / 255
    images = torch.full((10, 1, 10, 10), 0.5)
    moved = uniform(images, epsilon, torch.Generator().manual_seed(0)) - images
    # Uniform on [-epsilon, epsilon] has standard deviation epsilon / sqrt(3).
    torch.testing.assert_close(moved.std(), torch.tensor(epsilon / 3**0.5), rtol=0.1, atol=0)


def test_decontrasting_moves_towards_each_images_own_mean() -> None:
    images = torch.tensor([0.2, 0.4, 0.6, 0.8, 0.0, 0.0, 0.1, 0.1]).view(2, 1, 2, 2)
    begun = decontrasted(images, 0.15, torch.Generator())
    # The means are 0.5 and 0.05; 0.4 and 0.6 are within 0.15 of the first, all of the second are.
    expected = torch.tensor([0.35, 0.5, 0.5, 0.65, 0.05, 0.05, 0.05, 0.05]).view(2, 1, 2, 2)
    torch.testing.assert_close(begun, expected)


def test_the_gaussian_start_is_small_next_to_any_budget() -> None:
    images = torch.full((10, 1, 10, 10), 0.5)
    moved = gaussian(images, EPSILON, torch.Generator().manual_seed(0)) - images
    torch.testing.assert_close(moved.std(), torch.tensor(GAUSSIAN_SIGMA), rtol=0.1, atol=0)
