import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.models.scores import LOGIT_SCORES, REJECT_SCORES, check_score, unfitted_score
from oodguard.models.scores.base import ScoreOptions
from oodguard.models.scores.logit_scores import energy, gen

LOGITS = torch.tensor([[1.0, 0.0, -2.0]])


@pytest.mark.parametrize("name", [*LOGIT_SCORES, *REJECT_SCORES])
def test_unfitted_score_has_its_default_options(name: str) -> None:
    score = {**LOGIT_SCORES, **REJECT_SCORES}[name]
    torch.testing.assert_close(unfitted_score(name, ScoreOptions())(LOGITS), score(LOGITS))


def test_unfitted_score_uses_the_options() -> None:
    options = ScoreOptions(temperature=3.0, gen_gamma=0.5, gen_top=2)
    torch.testing.assert_close(unfitted_score("energy", options)(LOGITS), energy(LOGITS, 3.0))
    torch.testing.assert_close(unfitted_score("gen", options)(LOGITS), gen(LOGITS, 0.5, 2))


def test_unknown_score_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"score is 'odin', expected one of \[.*'energy'"):
        check_score("odin", reject_class=True)


def test_abstain_is_rejected_without_a_reject_class() -> None:
    check_score("abstain", reject_class=True)
    with pytest.raises(
        RecipeError, match="'abstain', which requires a network with a reject class"
    ):
        check_score("abstain", reject_class=False)
