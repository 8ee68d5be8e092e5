"""Members that always find the same point, so that every win is known."""

import pytest
import torch
from torch import Tensor

from oodguard.training.attacks.base import AttackObjective
from oodguard.training.attacks.ensemble import Ensemble, Member

IMAGES = torch.zeros(4, 1, 1, 1)


def judge(images: Tensor, _: Tensor) -> Tensor:
    return images.flatten()


class To:
    """Moves each image to its own entry of what the goal, of rows alone, says."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, goal: AttackObjective, images: Tensor, generator: torch.Generator) -> Tensor:
        del generator
        self.sizes.append(len(images))
        return goal(images, torch.arange(len(images))).view(-1, 1, 1, 1)


def at(*values: float) -> AttackObjective:
    return lambda _, rows: torch.tensor(values, dtype=torch.float)[rows]


def test_the_worst_of_all_members_and_goals_is_kept() -> None:
    members = (
        Member(name="one", attack=To(), goals=(at(1, -1, 2, 5), at(2, -3, 1, 4))),
        Member(name="two", attack=To(), goals=(at(3, -2, 2, 0),)),
    )
    worst = Ensemble(members=members, judge=judge)(IMAGES, torch.Generator())
    assert worst.values.tolist() == [3, 0, 2, 5]
    assert worst.images.flatten().tolist() == [3, 0, 2, 5]
    assert worst.clean_values.tolist() == [0, 0, 0, 0]
    assert worst.winners.tolist() == [1, -1, 0, 0]  # a tie is the first one's
    assert worst.won == {"clean": 1, "one": 2, "two": 1}
    assert worst.found["one"].tolist() == [2, -1, 2, 5]
    assert worst.found["two"].tolist() == [3, -2, 2, 0]


def test_broken_images_are_left_alone_by_what_comes_after() -> None:
    first, second = To(), To()
    members = (
        Member(name="one", attack=first, goals=(at(9, 1, 1, 1), at(9, 1, 9, 1))),
        Member(name="two", attack=second, goals=(at(99, 99, 99, 2),)),
        Member(name="three", attack=To(), goals=(at(3, 3, 3, 3),)),
    )
    images = torch.tensor([0.0, 8.0, 0.0, 0.0]).view(4, 1, 1, 1)
    worst = Ensemble(members=members, judge=judge, stop_at=8)(images, torch.Generator())
    assert first.sizes == [3, 2]  # one was broken as it was, another by the first goal
    assert second.sizes == [1]
    assert worst.values.tolist() == [9, 8, 9, 3]
    assert worst.won == {"clean": 1, "one": 2, "two": 0, "three": 1}
    assert worst.found["two"].isnan().tolist() == [True, True, True, False]


def test_nothing_is_attacked_when_all_are_broken() -> None:
    attack = To()
    ensemble = Ensemble(
        members=(Member(name="one", attack=attack, goals=(at(1),)),), judge=judge, stop_at=-1
    )
    worst = ensemble(IMAGES, torch.Generator())
    assert attack.sizes == []
    assert worst.won == {"clean": 4, "one": 0}


@pytest.mark.parametrize("names", [("one", "one"), ("clean",)])
def test_members_that_cannot_be_told_apart_are_refused(names: tuple[str, ...]) -> None:
    members = tuple(Member(name=name, attack=To(), goals=()) for name in names)
    with pytest.raises(ValueError, match="wanted different ones"):
        Ensemble(members=members, judge=judge)
