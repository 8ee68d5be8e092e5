from oodguard.models.manifest import WRAPPED
from oodguard.training.config.methods import METHODS
from oodguard.training.objectives import OBJECTIVES
from oodguard.training.report.card import PURPOSE


def test_every_method_has_its_objective_and_its_sentence_in_the_card() -> None:
    assert METHODS.keys() == OBJECTIVES.keys() == PURPOSE.keys() - {WRAPPED}
