"""The epsilon within which an evaluation checks its attack: that of the training."""

from pathlib import Path

import pytest

from oodguard.models.decision import Policy
from oodguard.training.config.suites import Suite, SuiteAttack, SuiteTrials
from oodguard.training.evaluation.evaluate import evaluate
from oodguard.training.evaluation.target import bundle_target, run_target
from tests.training.evaluation.test_partial_results import Observer
from tests.training.recipes import RECIPE, without_tables
from tests.training.runs import save_run

BUNDLES = Path(__file__).parents[3] / "models" / "pretrained"
SUITE = Suite(
    name="tiny",
    budgets_255=(1.0, 2.0),
    test_images=20,
    outlier_images=10,
    ascent=SuiteAttack(kind="apgd", steps=1, restarts=1),
    trials=SuiteTrials(images=4),
)
HARDENED_AT_3 = RECIPE.replace("epsilon_255 = 2", "epsilon_255 = 3")
NOT_HARDENED = without_tables(RECIPE, "attack", "outliers").replace('"aloe"', '"standard"')


@pytest.mark.parametrize(
    ("recipe", "expected"), [(RECIPE, 2), (HARDENED_AT_3, 3), (NOT_HARDENED, 1)]
)
def test_trials_attack_within_the_epsilon_of_the_training(
    tmp_path: Path, recipe: str, expected: float
) -> None:
    """Also where the suite has no such budget; without an attack in training, its smallest."""
    target = run_target(save_run(tmp_path / "run", recipe, outputs=10), "msp")
    policy = Policy(score="msp", alpha=0.1, delta=0.1)
    report, _ = evaluate(target, suite=SUITE, policy=policy, observer=Observer())
    assert report.trust.epsilon_255 == expected


def test_trial_epsilon_of_a_bundle_is_that_of_its_manifest() -> None:
    """A file with the table [evaluation] alone does not name it."""
    text = '[evaluation]\ntest = { folder = "x" }\noutliers.y = { folder = "y" }\n'
    assert bundle_target(BUNDLES / "gtsrb-aloe", text).trained_epsilon == 6 / 255
    assert bundle_target(BUNDLES / "gtsrb-standard", None).trained_epsilon == 0
