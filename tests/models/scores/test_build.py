import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.models.scores import LOGIT_SCORES, REJECT_SCORES, SCORE_NAMES
from oodguard.models.scores.build import check_score, unfitted_score
from oodguard.models.scores.energy import energy
from oodguard.models.scores.gen import gen
from oodguard.models.scores.options import ScoreOptions

LOGITS = torch.tensor([[1.0, 0.0, -2.0]])


def test_no_name_stands_for_two_scores() -> None:
    assert len(set(SCORE_NAMES)) == len(SCORE_NAMES)


@pytest.mark.parametrize("name", [*LOGIT_SCORES, *REJECT_SCORES])
def test_without_options_a_score_is_its_default(name: str) -> None:
    score = {**LOGIT_SCORES, **REJECT_SCORES}[name]
    torch.testing.assert_close(unfitted_score(name, ScoreOptions())(LOGITS), score(LOGITS))


def test_options_reach_their_scores() -> None:
    options = ScoreOptions(temperature=3.0, gen_gamma=0.5, gen_top=2)
    torch.testing.assert_close(unfitted_score("energy", options)(LOGITS), energy(LOGITS, 3.0))
    torch.testing.assert_close(unfitted_score("gen", options)(LOGITS), gen(LOGITS, 0.5, 2))


def test_an_unknown_score_is_told_what_there_is() -> None:
    with pytest.raises(RecipeError, match=r"came 'odin', wanted one of \[.*'energy'"):
        check_score("odin", reject_class=True)


def test_a_reject_class_is_not_asked_of_a_network_without() -> None:
    check_score("abstain", reject_class=True)
    with pytest.raises(RecipeError, match="'abstain' wants a network trained with a reject class"):
        check_score("abstain", reject_class=False)
