"""The worst that several attacks do to each image.

An attack that fails says nothing; only the strongest of several, image by image, comes near to what
an attacker can do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from oodguard.training.attacks.base import Attack, AttackObjective, BestIterates, restrict_to_rows

NOBODY = "clean"
"""Who won an image that no attack made worse."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One attack and every goal that it climbs: several targets, or those of another network."""

    name: str
    attack: Attack
    goals: tuple[AttackObjective, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Worst:
    """What was found for `n` images, by the judging goal.

    `images` `(n, 3, H, W)` have the values `values` `(n,)`, and the clean images `clean_values`.
    `winners` `(n,)` says which of `names` found each, and is -1 where the clean image is the worst.
    `found` holds by name each member's own highest value `(n,)`, not a number for the images that
    were broken before its turn.
    """

    names: tuple[str, ...]
    images: Tensor
    values: Tensor
    clean_values: Tensor
    winners: Tensor
    found: Mapping[str, Tensor]

    @property
    def won(self) -> dict[str, int]:
        """How many images each member won, and how many nobody did, which is called "clean"."""
        names = (NOBODY, *self.names)
        counts = torch.bincount(self.winners + 1, minlength=len(names))
        return dict(zip(names, counts.tolist(), strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """Every attack of `members` on each of its goals, in order; `judge` decides which was worst.

    The judge is as a rule the true score, where the goals may be other functions with better
    gradients. The clean image is a candidate. An image for which the judge has come to `stop_at` is
    broken, and the attacks after that leave it alone: put the cheap ones first. Of equals the first
    wins.
    """

    members: tuple[Member, ...]
    judge: AttackObjective
    stop_at: float | None = None

    def __post_init__(self) -> None:
        """See that the members can be told apart.

        Raises:
            ValueError: two members have one name, or one is called "clean".
        """
        names = [NOBODY, *(member.name for member in self.members)]
        if len(set(names)) < len(names):
            raise ValueError(f"members: came names {names[1:]}, wanted different ones, not 'clean'")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Worst:
        """Attack `images` `(n, 3, H, W)` in [0, 1]; the caller holds all networks still."""
        best = BestIterates.of_clean(self.judge, images)
        clean_values = best.values.clone()
        winners = torch.full((len(images),), -1, device=images.device)
        found = {}
        for index, member in enumerate(self.members):
            own = torch.full_like(clean_values, torch.nan)
            for goal in member.goals:
                rows = best.open(self.stop_at)
                if len(rows) == 0:
                    break
                moved = member.attack(restrict_to_rows(goal, rows), images[rows], generator)
                with torch.no_grad():
                    values = self.judge(moved, rows)
                winners[rows[best.offer(rows, moved, values)]] = index
                own[rows] = torch.fmax(own[rows], values)
            found[member.name] = own
        return Worst(
            names=tuple(member.name for member in self.members),
            images=best.images,
            values=best.values,
            clean_values=clean_values,
            winners=winners,
            found=found,
        )
