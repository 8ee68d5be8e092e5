"""Gradient-masking checks: is the attack strong enough for its figures to be believed?

The symptoms are those of Athalye et al. 2018, arXiv:1802.00420, and Carlini et al. 2019,
arXiv:1902.06705. Figures are differences of AUROC unless a check says otherwise.
"""

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Literal

from oodguard.training.evaluation.attack_trials import AttackTrials
from oodguard.training.report.model import Check, Trust

# A perturbation found within a smaller epsilon or in fewer steps is available to the larger attack
# too. 0.01 allows for chance, because each attack ends in its own local optimum.
MAX_INCREASE = 0.01

# Within a quarter of the pixel range any image can become almost any other. 0.02 allows for two of
# a hundred images that the attack could not change; a model with masked gradients keeps far more.
MAX_AUROC_AT_64 = 0.02

# The precision to which figures are read, and about the effect of chance on a hundred images.
MAX_LEAD = 0.01

# In the thousands of dimensions of an image, random noise changes a linear score by about 1 % of
# what its gradient does. If it gets half as far, the gradient attack does not work.
MAX_NOISE_SHARE = 0.5

# A smaller decrease of the AUROC of a hundred images is no basis for a comparison.
MIN_DECREASE = 0.02

# Networks of rectifiers have a few points without a gradient; more than that is masking.
MAX_BAD_GRADIENTS = 0.01


def larger_epsilons(trials: AttackTrials) -> Check:
    """Check that the AUROC does not increase with epsilon."""
    return _at_most(
        MAX_INCREASE,
        _largest_increase(trials.by_epsilon),
        name="a larger epsilon does not raise the AUROC",
        expected=f"an AUROC at most {MAX_INCREASE} above that of any smaller epsilon",
    )


def more_steps(trials: AttackTrials) -> Check:
    """Check that the AUROC does not increase with the number of steps."""
    return _at_most(
        MAX_INCREASE,
        _largest_increase(trials.by_steps),
        name="more steps do not raise the AUROC",
        expected=f"an AUROC at most {MAX_INCREASE} above that of any fewer steps",
    )


def enough_steps(trials: AttackTrials) -> Check:
    """Check that the largest number of steps, if above the suite's own, decreases it little."""
    most = max(trials.by_steps, default=0)
    longer = trials.steps is not None and most > trials.steps
    return _at_most(
        MAX_LEAD,
        _lead(trials, trials.by_steps[most] if longer else None),
        name="many more steps lower the AUROC little",
        expected=f"an AUROC at most {MAX_LEAD} below that of the suite's own steps",
    )


def zero_at_64(trials: AttackTrials) -> Check:
    """Check that the AUROC is close to 0 within 64/255."""
    return _at_most(
        MAX_AUROC_AT_64,
        trials.at_64,
        name="an epsilon of 64/255 lowers the AUROC to 0",
        expected=f"an AUROC of at most {MAX_AUROC_AT_64}",
    )


def square(trials: AttackTrials) -> Check:
    """Check that an attack without gradients is not stronger."""
    return _at_most(
        MAX_LEAD,
        _lead(trials, trials.square),
        name="Square, which uses no gradient, is not stronger",
        expected=f"an AUROC at most {MAX_LEAD} below that of the gradient attack",
    )


def transfer(trials: AttackTrials) -> Check:
    """Check that an attack on another classifier is not stronger."""
    return _at_most(
        MAX_LEAD,
        _lead(trials, trials.transfer),
        name="an attack on another model is not stronger",
        expected=f"an AUROC at most {MAX_LEAD} below that of the attack on this one",
    )


def noise(trials: AttackTrials) -> Check:
    """Check that random noise is far weaker.

    If the gradient attack decreases the AUROC too little for a comparison, noise that decreases it
    little as well is not checked; noise that decreases it more fails.
    """
    return _at_most(
        MAX_NOISE_SHARE,
        _noise_share(trials),
        name="random noise is far weaker",
        expected=f"at most {MAX_NOISE_SHARE} of the AUROC decrease of the gradient attack",
    )


def gradients(trials: AttackTrials) -> Check:
    """Check that the images have gradients."""
    return _at_most(
        MAX_BAD_GRADIENTS,
        trials.bad_gradients,
        name="the images have gradients",
        expected=f"zero or not finite for at most {MAX_BAD_GRADIENTS} of the images",
    )


CHECKS: tuple[Callable[[AttackTrials], Check], ...] = (
    larger_epsilons,
    more_steps,
    enough_steps,
    zero_at_64,
    square,
    transfer,
    noise,
    gradients,
)
"""All checks, in the order of the report."""


def run_masking_checks(trials: AttackTrials) -> Trust:
    """Return the outcome of every check and the stamp that follows from them."""
    checks = tuple(check(trials) for check in CHECKS)
    return Trust(stamp=_stamp({check.outcome for check in checks}), checks=checks)


def _stamp(
    outcomes: set[Literal["passed", "failed", "not checked"]],
) -> Literal["trusted", "partly checked", "not checked", "untrusted"]:
    if "failed" in outcomes:
        return "untrusted"
    if outcomes == {"passed"}:
        return "trusted"
    return "partly checked" if "passed" in outcomes else "not checked"


def _at_most(limit: float, figure: float | None, *, name: str, expected: str) -> Check:
    if figure is None:
        return Check(name=name, outcome="not checked", figure=None, expected=expected)
    # NaN fails.
    outcome: Literal["passed", "failed"] = "passed" if figure <= limit else "failed"
    return Check(name=name, outcome=outcome, figure=figure, expected=expected)


def _largest_increase(aurocs: Mapping[float, float] | Mapping[int, float]) -> float | None:
    """Return the largest increase over the minimum of all before; None for fewer than two."""
    values = list(aurocs.values())
    if len(values) < 2:
        return None
    lowest = accumulate(values, min)
    return max(after - before for before, after in zip(lowest, values[1:], strict=False))


def _lead(trials: AttackTrials, other: float | None) -> float | None:
    """Return how far below the AUROC of the suite's attack that of another attack is."""
    if trials.white_box is None or other is None:
        return None
    return trials.white_box - other


def _noise_share(trials: AttackTrials) -> float | None:
    """Return the AUROC decrease by noise, relative to that of the attack or to `MIN_DECREASE`.

    None if neither decreases it enough for a comparison.
    """
    if trials.clean is None or trials.noise is None or trials.white_box is None:
        return None
    decrease = trials.clean - trials.white_box
    share = (trials.clean - trials.noise) / max(decrease, MIN_DECREASE)
    return share if decrease >= MIN_DECREASE or share > MAX_NOISE_SHARE else None
