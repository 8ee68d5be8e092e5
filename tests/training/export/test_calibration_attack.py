"""Attacks on calibration images: what a bundle stores of them, and for which images."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch

from oodguard.models.bundle import Bundle, open_bundle, write_bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.derived_card import derive_card, parse_card
from oodguard.models.errors import BundleError, RecipeError
from oodguard.models.manifest import ROWS_VERSION, Description
from oodguard.models.records import CalibrationRecord
from oodguard.sources.reader import source_at
from oodguard.training.data.dataset import load
from oodguard.training.export.attack_bundle import attack_bundle, matching_images
from oodguard.training.export.calibration_attack import (
    ScoredGraph,
    no_progress,
    with_attacked_scores,
)
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.onnx_torch.node import unsupported
from oodguard.training.scoring.parity import calibrate, onnx_run

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
    seen: list[tuple[int, int]] = []
    rows, record = with_attacked_scores(
        CalibrationRows(scores={score: clean}),
        graph,
        images,
        count=3,
        advance=lambda *counts: seen.append(counts),
    )
    assert (record.method, record.images, seen) == ("APGD, 20 steps", 3, [(0, 3), (3, 3)])
    assert list(rows.attacked) == [1, 2, 4, 8]
    known = ~np.isnan(rows.attacked[1])
    assert known.sum() == 3
    columns = [clean[known], *(rows.attacked[budget][known] for budget in (1, 2, 4, 8))]
    for lower, higher in pairwise(columns):
        assert (higher >= lower).all()
    # An undefended network: the attack at 8/255 raises every score.
    assert (columns[-1] > columns[0]).all()


def attacked(bundle: Bundle, data: Path | None, out: Path, version: str = "2") -> Bundle:
    return attack_bundle(bundle, data, count=2, version=version, out=out, advance=no_progress)


def older_bundle(folder: Path) -> Bundle:
    """Write the bundle as an earlier release did, with ascending calibration scores alone."""
    bundle = open_bundle(BUNDLE)
    description = bundle.manifest.model_dump(exclude={"files", "calibration_attack"})
    return write_bundle(
        folder,
        description=Description.model_validate(description | {"schema_version": 1}),
        model=bundle.model,
        calibration=CalibrationRows(scores=bundle.rows.ordered()),
        evaluation=bundle.evaluation,
        card=bundle.card,
    )


def test_attack_of_a_bundle_refuses_other_images(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"1,580 of the 1,600 calibration images of the bundle"):
        attacked(open_bundle(BUNDLE), SIGNS, tmp_path / "out")
    with pytest.raises(RecipeError, match="has 60 images, expected the "):
        attacked(older_bundle(tmp_path / "older"), SIGNS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_attack_of_a_bundle_whose_graph_torch_cannot_run_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Bundle) -> NoReturn:
        raise unsupported("the operator 'Custom'")

    monkeypatch.setattr("oodguard.training.export.attack_bundle.bundle_classifier", refuse)
    with pytest.raises(BundleError, match=r"'Custom'.*Serve the bundle without under_attack, or"):
        attacked(open_bundle(BUNDLE), SIGNS, tmp_path / "out")


def test_attack_of_a_calibrated_bundle_again_has_one_section_and_a_new_version(
    tmp_path: Path,
) -> None:
    bundle = older_bundle(tmp_path / "older")
    images = load(source_at(SIGNS), bundle.manifest.input)
    manifest = bundle.manifest
    rows = calibrate(onnx_run(bundle.model), images, manifest.scores, manifest.classes)
    record = CalibrationRecord(
        source="test",
        images=len(rows),
        created=datetime(2026, 5, 1, tzinfo=UTC),
        by="Ada",
        command="oodguard calibrate",
        replaced=bundle.sha256,
        replaced_version="1",
        evaluated_version="1",
    )
    description = Description.model_validate(
        {
            **manifest.model_dump(exclude={"files"}),
            "schema_version": ROWS_VERSION,
            "version": "1.post1",
            "calibration": record,
        }
    )
    first = write_bundle(
        tmp_path / "first",
        description=description,
        model=bundle.model,
        calibration=rows,
        evaluation=bundle.evaluation,
        card=derive_card(manifest, bundle.card, "1.post1", {"Calibration": "On the test signs."}),
    )
    with pytest.raises(RecipeError, match="calibrated on test, and --data is missing"):
        attacked(first, None, tmp_path / "out")
    second = attacked(first, SIGNS, tmp_path / "second", "1.post2")
    third = attacked(second, SIGNS, tmp_path / "third", "1.post3")
    assert (third.manifest.version, third.manifest.calibration) == ("1.post3", record)
    card = parse_card(third.card)
    assert third.card.startswith("# gtsrb-standard, version 1.post3\n\n## Calibration\n")
    assert list(card.sections) == ["Calibration", "Under attack"]
    assert card.sections["Calibration"] == "On the test signs."
    assert card.sections["Under attack"].startswith(
        "Attacked towards rejection by APGD, 20 steps, at the budgets below: 2 calibration images. "
    )
    assert card.exported == bundle.card
    calibrated = "calibrated 2026-05-01 00:00 UTC by Ada on 60 images of test"
    assert card.history == (
        f"version 1.post2, {calibrated}, 2 of its calibration images attacked",
        f"version 1.post1, {calibrated}",
        "version 2",
    )


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


def test_calibration_images_with_equal_values_of_a_score_are_recognized_by_the_others() -> None:
    random = np.random.default_rng(0)
    scores = {
        "msp": np.zeros(50, np.float32),  # of a classifier that is certain
        "energy": random.normal(-20, 1, size=50).astype(np.float32),
    }
    order = random.permutation(50)[:40]
    rows = CalibrationRows(scores={name: each[order] for name, each in scores.items()})
    np.testing.assert_array_equal(matching_images(rows, CalibrationRows(scores=scores)), order)
