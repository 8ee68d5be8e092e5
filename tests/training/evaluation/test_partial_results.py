"""An evaluation that is interrupted and continues."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from oodguard.models.decision import Policy
from oodguard.models.errors import RecipeError
from oodguard.models.networks import build_network
from oodguard.models.scores import unfitted_score
from oodguard.models.scores.base import of_logits
from oodguard.training.config.suites import Suite, SuiteAttack, SuiteTrials
from oodguard.training.data.dataset import load, split
from oodguard.training.evaluation.evaluate import evaluate
from oodguard.training.evaluation.evaluator import Evaluator
from oodguard.training.evaluation.masking_checks import CHECKS
from oodguard.training.evaluation.partial_results import only_evaluation
from oodguard.training.evaluation.target import EvaluationTarget
from oodguard.training.report.evidence import EvaluationEvidence
from oodguard.training.report.model import Report, Twin
from oodguard.training.scoring.graph import ScoredNetwork, torch_run
from oodguard.training.scoring.parity import calibrate
from tests.training.recipes import RECIPE, parsed

SUITE = Suite(
    name="tiny",
    budgets_255=(2.0, 8.0),
    test_images=60,
    outlier_images=20,
    ascent=SuiteAttack(kind="apgd", steps=2, restarts=2, end_to_end=2),
    trials=SuiteTrials(images=10, square_queries=3, noise_draws=2),
)
POLICY = Policy(score="energy", alpha=0.1, delta=0.1)


class Observer:
    """Counts the steps; raises KeyboardInterrupt when it receives step event `stop_at`."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.planned, self.seconds, self.finished, self.steps, self.events = 0, 0.0, 0, 0, 0

    def start(self, steps: int, *, seconds: float, finished: int) -> None:
        self.planned, self.seconds, self.finished = steps, seconds, finished

    def stage(self, name: str) -> None:
        if self.stop_at is None and self.finished:
            return
        if name == "gradient-masking checks" and self.stop_at == -1:
            raise KeyboardInterrupt

    def advance(self, steps: int) -> None:
        self.steps += steps
        self.events += 1
        if self.events == self.stop_at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def target() -> EvaluationTarget:
    recipe = parsed(RECIPE)
    inliers = load(recipe.inliers, recipe.input)
    held_out = split(inliers, recipe.inliers, seed=recipe.seed).calibration
    torch.manual_seed(0)
    network = build_network("resnet8", 10, width=4).eval().requires_grad_(False)
    scores = {"energy": of_logits(unfitted_score("energy", recipe.score_options))}
    classifier = ScoredNetwork(network, scores, classes=10).eval()
    return EvaluationTarget(
        name="tiny",
        measured="run",
        default_score="energy",
        recipe=recipe,
        spec=recipe.input,
        recipe_text=RECIPE,
        classifier=classifier,
        classes=inliers.classes,
        rows=calibrate(torch_run(classifier), held_out, ["energy"], ()),
        held_out=held_out,
        onnx_run=torch_run(classifier),
    )


def _evaluate(
    target: EvaluationTarget, parts: Path | None, observer: Observer
) -> tuple[Report, EvaluationEvidence]:
    # Batches of 20 images.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oodguard.training.evaluation.evaluator.evaluation_batch_size", lambda *_: 20)
        return evaluate(target, suite=SUITE, policy=POLICY, observer=observer, parts=parts)


@pytest.fixture(scope="module")
def uninterrupted(target: EvaluationTarget) -> tuple[Report, EvaluationEvidence]:
    observer = Observer()
    result = _evaluate(target, None, observer)
    assert observer.seconds > 0
    assert observer.steps == observer.planned
    return result


# 3 batches of inliers and one of outliers, each in 2 budgets; then 3 end to end; then the trials.
@pytest.mark.parametrize(("stop_at", "finished"), [(4, 1), (-1, 7)])
def test_interrupted_evaluation_repeats_an_uninterrupted_one(
    target: EvaluationTarget,
    uninterrupted: tuple[Report, EvaluationEvidence],
    tmp_path: Path,
    stop_at: int,
    finished: int,
) -> None:
    parts = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        _evaluate(target, parts, Observer(stop_at))
    observer = Observer()
    report, evidence = _evaluate(target, parts, observer)
    assert observer.finished == finished
    assert observer.steps == observer.planned
    expected, expected_evidence = uninterrupted
    differing = {"duration_s": 0.0, "command": ""}
    assert report.model_copy(update=differing) == expected.model_copy(update=differing)
    assert len(evidence.worst_accepts) == len(expected_evidence.worst_accepts) > 0
    for one, two in zip(evidence.worst_accepts, expected_evidence.worst_accepts, strict=True):
        assert np.array_equal(one.attacked, two.attacked)
    assert not parts.exists()


def test_parts_of_other_settings_or_damaged_ones_are_not_used(
    target: EvaluationTarget, uninterrupted: tuple[Report, EvaluationEvidence], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _evaluate(target, tmp_path, Observer(9))
    (damaged, *_) = tmp_path.glob("*.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:100])
    report, _ = _evaluate(target, tmp_path, Observer())
    assert report.results == uninterrupted[0].results
    with pytest.raises(KeyboardInterrupt):
        _evaluate(target, tmp_path, Observer(9))
    observer = Observer()
    policy = Policy(score="energy", alpha=0.2, delta=0.1)
    evaluate(target, suite=SUITE, policy=policy, observer=observer, parts=tmp_path)
    assert observer.finished == 0


def test_evaluation_reports_the_twin_and_why_a_check_has_no_outcome(
    target: EvaluationTarget, uninterrupted: tuple[Report, EvaluationEvidence]
) -> None:
    transfer = list(CHECKS).index("transfer")
    without, _ = uninterrupted
    assert without.twin is None
    assert without.trust.checks[transfer].reason == "no twin was given: evaluate with --twin"
    twin = replace(target, name="other", method="aloe")
    report, _ = evaluate(target, suite=SUITE, policy=POLICY, observer=Observer(), twin=twin)
    assert report.twin == Twin(name="other", method="aloe")
    assert report.trust.checks[transfer].outcome == "passed"  # the same network
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_estimate_counts_the_steps_of_targets(target: EvaluationTarget) -> None:
    score = target.score_under_test("energy", POLICY)
    suite = SUITE.model_copy(update={"ascent": SUITE.ascent.model_copy(update={"targeted": 5})})
    evaluator = Evaluator(
        target=target,
        score=score,
        suite=suite,
        observer=Observer(),
        partial=None,  # type: ignore[arg-type]
    )
    targets = len(score.acceptance) - 1
    # Steps times budgets, for 2 starts of 20 images and one of 5 images towards each target.
    assert evaluator.steps(20, targeted=5) == 2 * 2 * (2 * 20 + 5 * targets)


def test_second_evaluation_of_one_folder_is_refused(tmp_path: Path) -> None:
    parts = tmp_path / ".evaluation.parts"
    with only_evaluation(parts):
        with (
            pytest.raises(RecipeError, match="another process evaluates it with the same suite"),
            only_evaluation(parts),
        ):
            pass
        with only_evaluation(tmp_path / ".evaluation-full.parts"):
            pass
    with only_evaluation(parts):
        pass
    assert not list(tmp_path.iterdir())
