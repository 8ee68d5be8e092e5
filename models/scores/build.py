"""A score from its name and options: the one place where scores are chosen."""

from functools import partial

from oodguard.models.errors import RecipeError
from oodguard.models.scores import LOGIT_SCORES, REJECT_SCORES, SCORE_NAMES
from oodguard.models.scores.base import LogitScore
from oodguard.models.scores.energy import energy
from oodguard.models.scores.gen import gen
from oodguard.models.scores.options import ScoreOptions


def check_score(name: str, *, reject_class: bool) -> None:
    """See that there is such a score for a network with or without a reject class.

    Raises:
        RecipeError: there is none of this name, or it wants a reject class and there is none.
    """
    if name not in SCORE_NAMES:
        raise RecipeError(f"score: came {name!r}, wanted one of {sorted(SCORE_NAMES)}")
    if name in REJECT_SCORES and not reject_class:
        wanted = sorted(set(SCORE_NAMES) - set(REJECT_SCORES))
        raise RecipeError(
            f"score: {name!r} wants a network trained with a reject class, which this is not;"
            f" wanted one of {wanted}"
        )


def unfitted_score(name: str, options: ScoreOptions) -> LogitScore:
    """Return a score that needs no fitting, as the options say.

    Raises:
        KeyError: `name` is neither one of `LOGIT_SCORES` nor one of `REJECT_SCORES`.
    """
    chosen: dict[str, LogitScore] = {
        **LOGIT_SCORES,
        **REJECT_SCORES,
        "energy": partial(energy, temperature=options.temperature),
        "gen": partial(gen, gamma=options.gen_gamma, top=options.gen_top),
    }
    return chosen[name]
