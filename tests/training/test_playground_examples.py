"""The command that makes the examples of the playground."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oodguard.models.verdicts import VerdictArrays, Verdicts
from oodguard.training.playground_examples import correct, flips, keeps, main

ROOT = Path(__file__).resolve().parents[2]


def verdicts(rejected: list[bool], class_ids: list[int]) -> Verdicts:
    n = len(rejected)
    arrays = VerdictArrays(
        classes=("cat", "dog"),
        score_names=("energy",),
        logits=np.zeros((n, 2), np.float32),
        scores=np.zeros((n, 1), np.float32),
        class_ids=np.array(class_ids),
        confidences=np.ones(n),
        p_values=np.ones(n),
        rejected=np.array(rejected),
        qualities=None,
    )
    return Verdicts(arrays, 0, n)


def test_playground_example_of_an_outlier_flips_from_rejection_to_acceptance() -> None:
    before, after = (
        verdicts([True, True, False], [0, 0, 0]),
        verdicts([False, True, False], [1, 0, 0]),
    )
    assert correct(before, None).tolist() == [True, True, False]
    assert flips(before, after, None).tolist() == [True, False, False]
    assert keeps(before, after, None).tolist() == [False, True, False]


def test_playground_example_of_an_inlier_flips_to_a_wrong_class_that_is_accepted() -> None:
    labels = [0, 0, 0, 0]
    before = verdicts([False, False, False, True], [0, 0, 0, 0])
    after = verdicts([False, True, False, False], [1, 1, 0, 1])
    assert correct(before, labels).tolist() == [True, True, True, False]
    assert flips(before, after, labels).tolist() == [True, False, False, False]
    assert keeps(before, after, labels).tolist() == [False, False, True, False]


@pytest.mark.slow
def test_playground_examples_are_made_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = ROOT / "service" / "static" / "playground" / "examples"
    monkeypatch.setattr(
        sys, "argv", ["", "--images", str(ROOT / "tests/data"), "--out", str(tmp_path)]
    )
    monkeypatch.chdir(ROOT)
    main()
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in shipped.iterdir()}
    # The gradients of another CPU may round differently: kinds and budgets stay, a picture
    # may be another one of its kind.
    made, known = (
        json.loads((folder / "examples.json").read_text())["examples"]
        for folder in (tmp_path, shipped)
    )
    for one, other in zip(made, known, strict=True):
        assert {**one, "source": ""} == {**other, "source": ""}
        if one["kind"] == "plain":
            first, second = (Image.open(folder / one["file"]) for folder in (tmp_path, shipped))
            assert np.array_equal(np.asarray(first), np.asarray(second))
