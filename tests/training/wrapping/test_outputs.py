import numpy as np
import pytest
import torch

from oodguard.models.errors import ClassifierError
from oodguard.models.scores import LOGIT_SCORES
from oodguard.training.wrap.output import OutputKind, OutputScores, check_output_kind

LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.0, -7.0]], np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
ROWS = {
    OutputKind.LOGITS: LOGITS,
    OutputKind.PROBABILITIES: PROBABILITIES,
    OutputKind.LOG_PROBABILITIES: np.log(PROBABILITIES),
}


@pytest.mark.parametrize("said", OutputKind)
@pytest.mark.parametrize("given", OutputKind)
def test_outputs_are_what_they_are_said_to_be_or_refused(
    said: OutputKind, given: OutputKind
) -> None:
    if said is given:
        check_output_kind(ROWS[given], said)
        return
    with pytest.raises(ClassifierError, match=f"are {given}, not {said}.*say --outputs {given}"):
        check_output_kind(ROWS[given], said)


def test_independent_sigmoids_are_no_probabilities_of_classes() -> None:
    with pytest.raises(ClassifierError, match="are logits, not probabilities"):
        check_output_kind(np.array([[0.9, 0.8, 0.1]], np.float32), OutputKind.PROBABILITIES)


def test_outputs_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ClassifierError, match="not finite"):
        check_output_kind(np.array([[0.0, np.nan]], np.float32), OutputKind.LOGITS)


def test_probabilities_give_the_very_msp_of_the_logits_that_made_them() -> None:
    outputs = OutputKind.PROBABILITIES
    logits, scores = OutputScores(outputs)(torch.from_numpy(PROBABILITIES))
    expected = LOGIT_SCORES["msp"](torch.from_numpy(LOGITS))
    torch.testing.assert_close(scores[:, outputs.scores.index("msp")], expected)
    torch.testing.assert_close(torch.softmax(logits, dim=1), torch.from_numpy(PROBABILITIES))


def test_a_probability_of_zero_stays_finite() -> None:
    logits, scores = OutputScores(OutputKind.PROBABILITIES)(torch.tensor([[1.0, 0.0, 0.0]]))
    assert torch.isfinite(logits).all()
    assert scores[0, 0] == 0


def test_energy_of_probabilities_says_nothing_which_is_why_it_is_refused() -> None:
    energies = LOGIT_SCORES["energy"](torch.from_numpy(np.log(PROBABILITIES)))
    torch.testing.assert_close(energies, torch.zeros(2), atol=1e-6, rtol=0)
    for outputs in (OutputKind.PROBABILITIES, OutputKind.LOG_PROBABILITIES):
        for score in ("energy", "max_logit"):
            assert score not in outputs.scores
            with pytest.raises(ClassifierError, match=f"--score {score} needs logits"):
                outputs.choose(score)
        assert outputs.choose(None) == "msp"


def test_logits_have_every_score_and_energy_decides() -> None:
    assert OutputKind.LOGITS.choose(None) == "energy"
    assert OutputKind.LOGITS.choose("max_logit") == "max_logit"
    with pytest.raises(ClassifierError, match="--score odin came"):
        OutputKind.LOGITS.choose("odin")


def test_every_score_that_is_kept_does_not_change_with_the_level_of_the_logits() -> None:
    logits = torch.from_numpy(LOGITS)
    for name in OutputKind.PROBABILITIES.scores:
        torch.testing.assert_close(LOGIT_SCORES[name](logits + 3), LOGIT_SCORES[name](logits))
