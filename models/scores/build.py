"""Check the name of a score, and bind its options."""

from functools import partial

from oodguard.models.errors import RecipeError
from oodguard.models.scores import LOGIT_SCORES, REJECT_SCORES, SCORE_NAMES
from oodguard.models.scores.base import LogitScore, ScoreOptions
from oodguard.models.scores.energy import energy
from oodguard.models.scores.gen import gen


def check_score(name: str, *, reject_class: bool) -> None:
    """Check that a score exists and that the network has the reject class that it requires.

    Raises:
        RecipeError: The name is unknown, or the score requires a reject class.
    """
    if name not in SCORE_NAMES:
        raise RecipeError(f"score is {name!r}, expected one of {sorted(SCORE_NAMES)}")
    if name in REJECT_SCORES and not reject_class:
        raise RecipeError(
            f"score is {name!r}, which requires a network with a reject class,"
            f" expected one of {sorted(set(SCORE_NAMES) - set(REJECT_SCORES))}"
        )


def unfitted_score(name: str, options: ScoreOptions) -> LogitScore:
    """Return a score that needs no fitting, with its options bound.

    Raises:
        KeyError: `name` is neither in `LOGIT_SCORES` nor in `REJECT_SCORES`.
    """
    chosen: dict[str, LogitScore] = {
        **LOGIT_SCORES,
        **REJECT_SCORES,
        "energy": partial(energy, temperature=options.temperature),
        "gen": partial(gen, gamma=options.gen_gamma, top=options.gen_top),
    }
    return chosen[name]
