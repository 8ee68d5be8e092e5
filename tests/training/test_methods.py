from models.manifest import WRAPPED
from training.card import PURPOSE
from training.methods import METHODS
from training.objectives import OBJECTIVES


def test_every_method_has_its_objective_and_its_sentence_in_the_card() -> None:
    assert METHODS.keys() == OBJECTIVES.keys() == PURPOSE.keys() - {WRAPPED}
