"""Whether an attacked figure may be believed.

An attack that does not work shows robustness that is not there, so a check that fails is enough to
distrust all of them.
"""

from typing import Literal

from training.checks import CHECKS
from training.report import Trust
from training.soundings import Soundings


def trust(soundings: Soundings) -> Trust:
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
