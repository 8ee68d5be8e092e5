"""Attacks on calibration images: what a bundle stores of them, and for which images."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from oodguard.models.bundle import open_bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.errors import RecipeError
from oodguard.sources.reader import source_at
from oodguard.training.data.dataset import load
from oodguard.training.export.attack_bundle import attack_bundle, matching_images
from oodguard.training.export.calibration_attack import ScoredGraph, with_attacked_scores
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.scoring.parity import onnx_run

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "models" / "pretrained" / "gtsrb-standard"
SIGNS = ROOT / "tests" / "data" / "signs" / "test"


def test_attacked_scores_rise_with_the_budget_and_only_for_chosen_images() -> None:
    bundle = open_bundle(BUNDLE)
    score = bundle.manifest.default_score
    run = onnx_run(bundle.model)
    graph = ScoredGraph(
        classifier=bundle_classifier(bundle),
        run=run,
        score=score,
        column=bundle.manifest.scores.index(score),
    )
    images = load(source_at(SIGNS, images=6), bundle.manifest.input).images[:]
    clean = run(images.numpy())[1][:, graph.column]
    seen: list[int] = []
    rows, record = with_attacked_scores(
        CalibrationRows(scores={score: clean}), graph, images, count=3, advance=seen.append
    )
    assert (record.method, record.images, seen) == ("APGD, 20 steps", 3, [3])
    assert list(rows.attacked) == [1, 2, 4, 8]
    known = ~np.isnan(rows.attacked[1])
    assert known.sum() == 3
    columns = [clean[known], *(rows.attacked[budget][known] for budget in (1, 2, 4, 8))]
    for lower, higher in pairwise(columns):
        assert (higher >= lower).all()
    # An undefended network: the attack at 8/255 raises every score.
    assert (columns[-1] > columns[0]).all()


def test_attack_of_a_bundle_refuses_other_images(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="differ from those of the"):
        attack_bundle(
            open_bundle(BUNDLE), SIGNS, count=3, out=tmp_path / "out", advance=lambda _: None
        )
    assert not (tmp_path / "out").exists()


def test_calibration_images_are_recognized_by_their_scores() -> None:
    random = np.random.default_rng(0)
    scores = {name: random.normal(size=50).astype(np.float32) for name in ("msp", "energy")}
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0)).numpy()[:20]
    rows = CalibrationRows(
        scores={name: each[order] * np.float32(1 + 1e-6) for name, each in scores.items()}
    )
    np.testing.assert_array_equal(matching_images(rows, CalibrationRows(scores=scores)), order)
    other = CalibrationRows(scores={**rows.scores, "energy": rows.scores["energy"] + 1})
    with pytest.raises(RecipeError, match="20 of the 20 calibration images of the bundle are not"):
        matching_images(other, CalibrationRows(scores=scores))
