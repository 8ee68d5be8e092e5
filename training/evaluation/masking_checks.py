"""Gradient-masking checks: is the attack strong enough for its figures to be believed?

The symptoms are from Athalye et al. 2018, arXiv:1802.00420, and Carlini et al. 2019,
arXiv:1902.06705. Figures are differences of AUROC unless a check states otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from oodguard.training.evaluation.attack_trials import AttackTrials
from oodguard.training.evaluation.results import in_255ths
from oodguard.training.report.model import Check, Outcome, Stamp, Trust

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

BLACK_BOX = "the graph is attacked as a black box, and the check requires its gradients"
NO_TRIAL = "the suite does not include it: evaluate with --suite standard, long or full"
NO_TWIN = "no twin was given: evaluate with --twin"


def _not_tried(_: AttackTrials) -> str:
    return NO_TRIAL


def _not_transferred(trials: AttackTrials) -> str:
    return NO_TWIN if trials.steps else f"{NO_TRIAL}, and with --twin"


def _not_compared_with_noise(trials: AttackTrials) -> str:
    """State why there is no share of noise: a weak attack, which is no fault of the suite."""
    if trials.epsilon is None or trials.noise is None:
        return NO_TRIAL
    return (
        f"the AUROC of the trial images is {trials.clean:.4f} clean and {trials.white_box:.4f}"
        f" attacked within {in_255ths(trials.epsilon):g}/255, expected a decrease of at least"
        f" {MIN_DECREASE} for a comparison"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskingCheck:
    """A check that a figure of the attack trials is at most `limit`.

    `figure` returns None if the trials do not determine it, and `reason` then states why, unless
    the graph is a black box.
    """

    name: str
    figure: Callable[[AttackTrials], float | None]
    limit: float
    expected: str
    reason: Callable[[AttackTrials], str] = _not_tried

    def __call__(self, trials: AttackTrials) -> Check:
        """Return the outcome; a NaN fails."""
        figure, reason = self.figure(trials), None
        if figure is None:
            outcome: Outcome = "not checked"
            reason = BLACK_BOX if trials.black_box else self.reason(trials)
        else:
            outcome = "passed" if figure <= self.limit else "failed"
        return Check(
            name=self.name, outcome=outcome, figure=figure, expected=self.expected, reason=reason
        )


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


def _lead_of_more_steps(trials: AttackTrials) -> float | None:
    """Return the largest decrease by the most steps, within any epsilon.

    None if those are not more than the suite's own.
    """
    most = max(trials.by_steps, default=0)
    lead = _lead(trials, trials.by_steps.get(most))
    if trials.steps is None or most <= trials.steps or lead is None:
        return None
    return max((lead, *trials.long_leads.values()))


def _noise_share(trials: AttackTrials) -> float | None:
    """Return the AUROC decrease by noise, relative to that of the attack or to `MIN_DECREASE`.

    None if neither decreases it enough for a comparison.
    """
    if trials.clean is None or trials.noise is None or trials.white_box is None:
        return None
    decrease = trials.clean - trials.white_box
    share = (trials.clean - trials.noise) / max(decrease, MIN_DECREASE)
    return share if decrease >= MIN_DECREASE or share > MAX_NOISE_SHARE else None


CHECKS: Mapping[str, MaskingCheck] = {
    "larger epsilons": MaskingCheck(
        name="a larger epsilon does not raise the AUROC",
        figure=lambda trials: _largest_increase(trials.by_epsilon),
        limit=MAX_INCREASE,
        expected=f"an AUROC at most {MAX_INCREASE} above that of any smaller epsilon",
    ),
    "more steps": MaskingCheck(
        name="more steps do not raise the AUROC",
        figure=lambda trials: _largest_increase(trials.by_steps),
        limit=MAX_INCREASE,
        expected=f"an AUROC at most {MAX_INCREASE} above that of any fewer steps",
    ),
    "enough steps": MaskingCheck(
        name="many more steps lower the AUROC little",
        figure=_lead_of_more_steps,
        limit=MAX_LEAD,
        expected=f"an AUROC at most {MAX_LEAD} below that of the suite's own steps, within every"
        " epsilon; evaluate with a suite of more steps",
    ),
    "zero at 64/255": MaskingCheck(
        name="an epsilon of 64/255 lowers the AUROC to 0",
        figure=lambda trials: trials.at_64,
        limit=MAX_AUROC_AT_64,
        expected=f"an AUROC of at most {MAX_AUROC_AT_64}",
    ),
    "Square": MaskingCheck(
        name="Square, which uses no gradient, is not stronger",
        figure=lambda trials: _lead(trials, trials.square),
        limit=MAX_LEAD,
        expected=f"an AUROC at most {MAX_LEAD} below that of the gradient attack",
    ),
    "transfer": MaskingCheck(
        name="an attack on another model is not stronger",
        figure=lambda trials: _lead(trials, trials.transfer),
        limit=MAX_LEAD,
        expected=f"an AUROC at most {MAX_LEAD} below that of the attack on this one",
        reason=_not_transferred,
    ),
    "noise": MaskingCheck(
        name="random noise is far weaker",
        figure=_noise_share,
        limit=MAX_NOISE_SHARE,
        expected=f"at most {MAX_NOISE_SHARE} of the AUROC decrease of the gradient attack",
        reason=_not_compared_with_noise,
    ),
    "gradients": MaskingCheck(
        name="the images have gradients",
        figure=lambda trials: trials.bad_gradients,
        limit=MAX_BAD_GRADIENTS,
        expected=f"zero or not finite for at most {MAX_BAD_GRADIENTS} of the images",
    ),
}
"""All checks, in the order of the report."""


def run_masking_checks(trials: AttackTrials) -> Trust:
    """Return the outcome of every check and the stamp that follows from them."""
    checks = tuple(check(trials) for check in CHECKS.values())
    return Trust(
        stamp=_stamp({check.outcome for check in checks}),
        checks=checks,
        epsilon_255=None if trials.epsilon is None else round(255 * trials.epsilon, 6),
    )


def _stamp(outcomes: set[Outcome]) -> Stamp:
    if "failed" in outcomes:
        return "untrusted"
    if outcomes == {"passed"}:
        return "trusted"
    return "partly checked" if "passed" in outcomes else "not checked"
