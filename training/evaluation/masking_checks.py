"""The checks of an attack, by what else was tried: each would notice one way of being broken.

The signs are those of Athalye et al. 2018, arXiv:1802.00420, and Carlini et al. 2019,
arXiv:1902.06705. Figures are differences of AUROC, in which a point is 0.01, unless they say so.
"""

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Literal

from oodguard.training.evaluation.attack_trials import AttackTrials
from oodguard.training.report.model import Check, Trust

# What was found within a smaller budget, or in fewer steps, is there for more: an attack that finds
# less has got lost. A point is what chance may do, as each attack ends in an optimum of its own.
MOST_RISE = 0.01

# A quarter of all brightness turns any image into almost any other. This leaves room for two images
# of a hundred that the attack could not move; a model whose gradients are masked keeps far more.
MOST_AT_64 = 0.02

# A point is what figures are read to, and as much as chance may do on a hundred images.
MOST_BEATEN = 0.01

# In the thousands of dimensions of an image, a draw of noise moves a linear score by about 1 % of
# what its gradient does. Who looks at nothing and gets half as far has no attack to be afraid of.
MOST_NOISE_SHARE = 0.5

# What takes less than two points off the AUROC of a hundred images is nothing to compare with.
LEAST_TAKEN = 0.02

# Networks of rectifiers have a few points without slope; more than that is masking.
MOST_BAD_GRADIENTS = 0.01


def larger_budgets(soundings: AttackTrials) -> Check:
    """See that the AUROC does not rise with the budget."""
    return _at_most(
        MOST_RISE,
        _highest_rise(soundings.by_epsilon),
        name="larger budgets take more",
        expected=f"an AUROC at most {MOST_RISE} above that of any smaller budget",
    )


def more_steps(soundings: AttackTrials) -> Check:
    """See that the AUROC does not rise with the steps."""
    return _at_most(
        MOST_RISE,
        _highest_rise(soundings.by_steps),
        name="more steps take more",
        expected=f"an AUROC at most {MOST_RISE} above that of any fewer steps",
    )


def enough_steps(soundings: AttackTrials) -> Check:
    """See that the most steps tried, if more than the suite's own, gain little."""
    most = max(soundings.by_steps, default=0)
    longer = soundings.steps is not None and most > soundings.steps
    return _at_most(
        MOST_BEATEN,
        _beaten(soundings, soundings.by_steps[most] if longer else None),
        name="many more steps take little more",
        expected=f"an AUROC at most {MOST_BEATEN} below that of the suite's own steps",
    )


def all_at_64(soundings: AttackTrials) -> Check:
    """See that nothing withstands a budget that nothing can withstand."""
    return _at_most(
        MOST_AT_64,
        soundings.at_64,
        name="a budget of 64/255 takes all",
        expected=f"an AUROC of at most {MOST_AT_64}",
    )


def square(soundings: AttackTrials) -> Check:
    """See that an attack without gradients finds no more."""
    return _at_most(
        MOST_BEATEN,
        _beaten(soundings, soundings.square),
        name="Square, which needs no gradient, takes no more",
        expected=f"an AUROC at most {MOST_BEATEN} below that of the gradient attack",
    )


def transfer(soundings: AttackTrials) -> Check:
    """See that an attack on another network finds no more."""
    return _at_most(
        MOST_BEATEN,
        _beaten(soundings, soundings.transfer),
        name="an attack made on another model takes no more",
        expected=f"an AUROC at most {MOST_BEATEN} below that of the attack on this one",
    )


def noise(soundings: AttackTrials) -> Check:
    """See that random noise finds far less.

    Where the gradient attack takes too little to compare with, noise that takes little as well says
    nothing; noise that takes more fails all the same.
    """
    return _at_most(
        MOST_NOISE_SHARE,
        _noise_share(soundings),
        name="random noise takes far less",
        expected=f"at most {MOST_NOISE_SHARE} of what the gradient attack takes off the AUROC",
    )


def gradients(soundings: AttackTrials) -> Check:
    """See that there are gradients to follow."""
    return _at_most(
        MOST_BAD_GRADIENTS,
        soundings.bad_gradients,
        name="there are gradients to follow",
        expected=f"none for at most {MOST_BAD_GRADIENTS} of the images",
    )


CHECKS: tuple[Callable[[AttackTrials], Check], ...] = (
    larger_budgets,
    more_steps,
    enough_steps,
    all_at_64,
    square,
    transfer,
    noise,
    gradients,
)
"""All checks, in the order in which a report shows them."""


def _at_most(limit: float, figure: float | None, *, name: str, expected: str) -> Check:
    if figure is None:
        return Check(name=name, outcome="not checked", figure=None, expected=expected)
    # A figure that is not a number fails.
    outcome: Literal["passed", "failed"] = "passed" if figure <= limit else "failed"
    return Check(name=name, outcome=outcome, figure=figure, expected=expected)


def _highest_rise(aurocs: Mapping[float, float] | Mapping[int, float]) -> float | None:
    """Return how far the AUROC comes to be above the lowest before it; None for fewer than two."""
    values = list(aurocs.values())
    if len(values) < 2:
        return None
    lowest = accumulate(values, min)
    return max(after - before for before, after in zip(lowest, values[1:], strict=False))


def _beaten(soundings: AttackTrials, other: float | None) -> float | None:
    """Return how much lower another attack brings the AUROC than the suite's own."""
    if soundings.white_box is None or other is None:
        return None
    return soundings.white_box - other


def _noise_share(soundings: AttackTrials) -> float | None:
    """Return what noise takes as a share of what the attack takes, or of `LEAST_TAKEN` if more.

    None where neither takes much.
    """
    if soundings.clean is None or soundings.noise is None or soundings.white_box is None:
        return None
    taken = soundings.clean - soundings.white_box
    share = (soundings.clean - soundings.noise) / max(taken, LEAST_TAKEN)
    return share if taken >= LEAST_TAKEN or share > MOST_NOISE_SHARE else None


def run_masking_checks(soundings: AttackTrials) -> Trust:
    """Return the stamp that the attack deserves, with every check of it."""
    checks = tuple(check(soundings) for check in CHECKS)
    return Trust(stamp=_stamp({check.outcome for check in checks}), checks=checks)


def _stamp(
    outcomes: set[Literal["passed", "failed", "not checked"]],
) -> Literal["trusted", "partly checked", "not checked", "untrusted"]:
    if "failed" in outcomes:
        return "untrusted"
    if outcomes == {"passed"}:
        return "trusted"
    return "partly checked" if "passed" in outcomes else "not checked"
