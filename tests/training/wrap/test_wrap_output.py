import numpy as np
import pytest
import torch

from oodguard.models.errors import ClassifierError
from oodguard.models.scores import LOGIT_SCORES
from oodguard.training.wrap.output import OutputKind, check_output_kind, to_logits, to_raw
from oodguard.training.wrap.scores import WrappedScores

LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.0, -7.0]], np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
ROWS = {
    OutputKind.LOGITS: LOGITS,
    OutputKind.PROBABILITIES: PROBABILITIES,
    OutputKind.LOG_PROBABILITIES: np.log(PROBABILITIES),
    OutputKind.SIGMOID: 1 / (1 + np.exp(-LOGITS)),
}


@pytest.mark.parametrize("stated", OutputKind)
@pytest.mark.parametrize("found", OutputKind)
def test_output_kind_is_checked(stated: OutputKind, found: OutputKind) -> None:
    if stated is found:
        check_output_kind(ROWS[found], stated)
        return
    message = f"are {found}, expected {stated}.*Give --outputs {found}"
    with pytest.raises(ClassifierError, match=message):
        check_output_kind(ROWS[found], stated)


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        ([0.9, 0.8, 0.1], OutputKind.PROBABILITIES, "are sigmoid, expected probabilities"),
        ([0.9, 0.8, 0.1], OutputKind.LOGITS, "Give --outputs sigmoid, or .* --outputs logits if"),
        ([0.3], OutputKind.PROBABILITIES, "are sigmoid, expected probabilities"),
        ([-0.3], OutputKind.SIGMOID, "are logits, expected sigmoid"),
        ([0.0, np.nan], OutputKind.LOGITS, "not finite"),
    ],
)
def test_output_kind_check_rejects_sigmoids_and_nan(
    row: list[float], kind: OutputKind, message: str
) -> None:
    with pytest.raises(ClassifierError, match=message):
        check_output_kind(np.array([row], np.float32), kind)


def test_output_kind_of_logits_between_0_and_1_is_accepted_if_stated() -> None:
    check_output_kind(ROWS[OutputKind.SIGMOID], OutputKind.LOGITS, is_explicit=True)


def test_output_logits_of_sigmoids_are_those_before_the_sigmoid() -> None:
    found = to_logits(torch.from_numpy(ROWS[OutputKind.SIGMOID]), OutputKind.SIGMOID)
    torch.testing.assert_close(found, torch.from_numpy(LOGITS), atol=1e-5, rtol=1e-5)
    saturated = to_logits(torch.tensor([[0.0, 1.0]]), OutputKind.SIGMOID)
    # log of the smallest normal float32, and 24 log 2.
    torch.testing.assert_close(saturated, torch.tensor([[-87.336545, 16.635532]]))


@pytest.mark.parametrize("kind", [OutputKind.LOGITS, OutputKind.SIGMOID])
def test_output_logits_of_a_single_output_have_its_sigmoid_as_softmax(kind: OutputKind) -> None:
    z = np.array([[2.0], [-3.0], [0.25]], np.float32)
    p = 1 / (1 + np.exp(-z))
    found = to_logits(torch.from_numpy(z if kind is OutputKind.LOGITS else p), kind)
    assert found.shape == (3, 2)
    probabilities = torch.softmax(found, dim=1).numpy()
    np.testing.assert_allclose(probabilities, np.concatenate([1 - p, p], axis=1), rtol=1e-5)
    # The score does not depend on which of the two classes it is.
    torch.testing.assert_close(LOGIT_SCORES["energy"](found), LOGIT_SCORES["energy"](-found))


@pytest.mark.parametrize("kind", OutputKind)
@pytest.mark.parametrize("outputs", [1, 3])
def test_output_logits_determine_the_outputs(kind: OutputKind, outputs: int) -> None:
    if outputs == 1 and not kind.has_level:
        return
    raw = ROWS[kind][:, :outputs]
    logits = to_logits(torch.from_numpy(raw), kind).numpy()
    np.testing.assert_allclose(to_raw(logits, kind, outputs=outputs), raw, rtol=1e-5)


def test_output_scores_of_probabilities_equal_the_msp_of_their_logits() -> None:
    kind = OutputKind.PROBABILITIES
    logits, scores = WrappedScores(kind)(torch.from_numpy(PROBABILITIES))
    expected = LOGIT_SCORES["msp"](torch.from_numpy(LOGITS))
    torch.testing.assert_close(scores[:, kind.scores.index("msp")], expected)
    torch.testing.assert_close(torch.softmax(logits, dim=1), torch.from_numpy(PROBABILITIES))


def test_output_scores_of_a_probability_of_zero_are_finite() -> None:
    logits, scores = WrappedScores(OutputKind.PROBABILITIES)(torch.tensor([[1.0, 0.0, 0.0]]))
    assert torch.isfinite(logits).all()
    assert scores[0, 0] == 0


def test_output_kind_rejects_scores_that_are_meaningless_for_probabilities() -> None:
    energies = LOGIT_SCORES["energy"](torch.from_numpy(np.log(PROBABILITIES)))
    torch.testing.assert_close(energies, torch.zeros(2), atol=1e-6, rtol=0)
    for kind in (OutputKind.PROBABILITIES, OutputKind.LOG_PROBABILITIES):
        for score in ("energy", "max_logit"):
            assert score not in kind.scores
            with pytest.raises(ClassifierError, match=f"--score is {score}, which requires logits"):
                kind.choose(score)
        assert kind.choose(None) == "msp"
    logits = torch.from_numpy(LOGITS)
    for name in OutputKind.PROBABILITIES.scores:
        torch.testing.assert_close(LOGIT_SCORES[name](logits + 3), LOGIT_SCORES[name](logits))


def test_output_kind_of_logits_has_every_score_and_energy_by_default() -> None:
    assert OutputKind.LOGITS.choose(None) == "energy"
    assert OutputKind.LOGITS.choose("max_logit") == "max_logit"
    with pytest.raises(ClassifierError, match="--score is odin, expected one of"):
        OutputKind.LOGITS.choose("odin")
