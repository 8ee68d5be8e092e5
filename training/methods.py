"""What each training method asks of its recipe and of its network.

Plain facts without torch, so that a recipe is checked before anything is built; what a method does
stands under the same name in `training.objectives`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """Whether a method trains on outliers, under attack, and with a class for rejection.

    `parameters` is the recipe's table that tunes the method, if there is one.
    """

    outliers: bool
    attack: bool
    reject_class: bool = False
    parameters: Literal["energy", "mining", "trades"] | None = None


METHODS: Mapping[str, Method] = {
    "standard": Method(outliers=False, attack=False),
    "oe": Method(outliers=True, attack=False),
    "adv": Method(outliers=False, attack=True),
    "aoe": Method(outliers=True, attack=True),
    "aloe": Method(outliers=True, attack=True),
    "aloe-abstain": Method(outliers=True, attack=True, reject_class=True),
    "trades-aloe": Method(outliers=True, attack=True, parameters="trades"),
    "acet": Method(outliers=True, attack=True),
    "energy-oe": Method(outliers=True, attack=False, parameters="energy"),
    "energy-aloe": Method(outliers=True, attack=True, parameters="energy"),
    "atom": Method(outliers=True, attack=True, reject_class=True, parameters="mining"),
}
