from pathlib import Path

import numpy as np
import pytest
import torch

from oodguard.models.errors import ClassifierError
from oodguard.models.scores import LOGIT_SCORES
from oodguard.training.data.dataset import ImageSet
from oodguard.training.wrap.output import (
    OutputKind,
    OutputScores,
    check_output_kind,
    labels_of_outputs,
    read_classes,
)

LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.0, -7.0]], np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
ROWS = {
    OutputKind.LOGITS: LOGITS,
    OutputKind.PROBABILITIES: PROBABILITIES,
    OutputKind.LOG_PROBABILITIES: np.log(PROBABILITIES),
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
        # Independent sigmoids
        ([0.9, 0.8, 0.1], OutputKind.PROBABILITIES, "are logits, expected probabilities"),
        ([0.0, np.nan], OutputKind.LOGITS, "not finite"),
    ],
)
def test_output_kind_check_rejects_sigmoids_and_nan(
    row: list[float], kind: OutputKind, message: str
) -> None:
    with pytest.raises(ClassifierError, match=message):
        check_output_kind(np.array([row], np.float32), kind)


def test_output_scores_of_probabilities_equal_the_msp_of_their_logits() -> None:
    kind = OutputKind.PROBABILITIES
    logits, scores = OutputScores(kind)(torch.from_numpy(PROBABILITIES))
    expected = LOGIT_SCORES["msp"](torch.from_numpy(LOGITS))
    torch.testing.assert_close(scores[:, kind.scores.index("msp")], expected)
    torch.testing.assert_close(torch.softmax(logits, dim=1), torch.from_numpy(PROBABILITIES))


def test_output_scores_of_a_probability_of_zero_are_finite() -> None:
    logits, scores = OutputScores(OutputKind.PROBABILITIES)(torch.tensor([[1.0, 0.0, 0.0]]))
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


def labelled(classes: tuple[str, ...], labels: list[int]) -> ImageSet:
    images = torch.zeros(len(labels), 2, 2, 3, dtype=torch.uint8)
    return ImageSet(name="photos", images=images, labels=torch.tensor(labels), classes=classes)


def test_labels_of_outputs_match_classes_by_name() -> None:
    data = labelled(("cat", "dog"), [0, 1, 1])
    assert labels_of_outputs(("dog", "bird", "cat"), data, outputs=3).tolist() == [2, 0, 0]


def test_labels_of_outputs_use_numbers_as_positions() -> None:
    data = labelled(("0", "1"), [1, 0])
    assert labels_of_outputs(("stop", "yield", "no entry"), data, outputs=3).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("classes", "found", "message"),
    [
        (("cat", "dog"), ("cat", "dog"), "received 2 class names, expected 3"),
        (("cat", "cat", "dog"), ("cat", "dog"), "repeated: cat"),
        (("cat", "dog", "bird"), ("cat", "ship"), "photos: unknown classes ship, expected"),
        (("cat", "dog", "bird"), (), "photos: found no classes, expected one sub-folder per"),
        ((), (), "photos: found no classes, expected one sub-folder per class"),
    ],
)
def test_labels_of_outputs_reject_classes_that_do_not_match(
    classes: tuple[str, ...], found: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ClassifierError, match=message):
        labels_of_outputs(classes, labelled(found, [0]), outputs=3)


def test_read_classes_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("no entry\nstop \n\n yield\n", encoding="utf-8")
    assert read_classes(tmp_path / "names.txt") == ("no entry", "stop", "yield")
    with pytest.raises(ClassifierError, match=r"--classes .*none\.txt: cannot be read"):
        read_classes(tmp_path / "none.txt")
