import torch

from oodguard.training.attacks.base import BestIterates

CLEAN = torch.zeros(3, 1, 1, 1)


def test_only_what_is_better_is_taken() -> None:
    best = BestIterates(CLEAN, torch.tensor([1.0, 1.0, 1.0]))
    offered = torch.tensor([5.0, 6.0]).view(2, 1, 1, 1)
    better = best.offer(torch.tensor([0, 2]), offered, torch.tensor([2.0, 1.0]))
    assert better.tolist() == [True, False]  # a tie changes nothing
    assert best.images.flatten().tolist() == [5.0, 0.0, 0.0]
    assert best.values.tolist() == [2.0, 1.0, 1.0]
    assert CLEAN.abs().max() == 0


def test_what_is_no_number_never_wins_and_always_loses() -> None:
    best = BestIterates(CLEAN, torch.tensor([torch.nan, 1.0, torch.nan]))
    offered = torch.ones(3, 1, 1, 1)
    best.offer(torch.arange(3), offered, torch.tensor([-9.0, torch.nan, torch.nan]))
    assert best.images.flatten().tolist() == [1.0, 0.0, 0.0]


def test_an_image_is_open_until_enough_is_reached() -> None:
    best = BestIterates(CLEAN, torch.tensor([1.0, 2.0, 3.0]))
    assert best.open(2.0).tolist() == [0]
    assert best.open(None).tolist() == [0, 1, 2]
