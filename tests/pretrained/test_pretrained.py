"""The bundles that ship do on real pictures what their cards say."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle, open_bundle
from models.decision import Policy
from models.guard import Guard, Verdict
from models.preprocessing import prepare
from training.report import Report
from training.parity import onnx_run

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "tests" / "data"
NAMES = ("cifar10-aloe", "cifar10-standard")


@pytest.fixture(scope="module", params=NAMES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return open_bundle(ROOT / "models" / "pretrained" / request.param)


def _guard(bundle: Bundle) -> Guard:
    policy = Policy(score=bundle.manifest.default_score)
    return Guard(bundle, policy, onnx_run(bundle.model))


def _judge(guard: Guard, folder: str) -> tuple[list[Path], list[Verdict]]:
    paths = sorted((PICTURES / folder).rglob("*.png"))
    images = [prepare(Image.open(path), guard.manifest.input) for path in paths]
    return paths, guard.judge(np.stack(images))


def test_a_bundle_is_at_most_six_megabytes(bundle: Bundle) -> None:
    folder = ROOT / "models" / "pretrained" / bundle.manifest.name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 6_000_000


def test_the_card_holds_the_figures_and_the_recipe_that_ships(bundle: Bundle) -> None:
    card = (ROOT / "models" / "pretrained" / bundle.manifest.name / "README.md").read_text()
    recipe = (ROOT / "recipes" / f"{bundle.manifest.name}.toml").read_text()
    assert recipe.strip() in card
    assert bundle.manifest.training.command in card


def test_accuracy_on_real_pictures_is_what_the_card_says(bundle: Bundle) -> None:
    report = Report.model_validate(bundle.evaluation)
    paths, verdicts = _judge(_guard(bundle), "cifar10")
    right = np.mean([path.parent.name == v.label for path, v in zip(paths, verdicts, strict=True)])
    # Four standard errors of a share of 200 pictures.
    margin = 4 * (report.accuracy * (1 - report.accuracy) / len(paths)) ** 0.5
    assert right == pytest.approx(report.accuracy, abs=margin)


def test_false_rejections_on_real_pictures_keep_the_promise(bundle: Bundle) -> None:
    guard = _guard(bundle)
    _, verdicts = _judge(guard, "cifar10")
    rejected = sum(verdict.decision == "reject" for verdict in verdicts)
    # At 5 % of 200 pictures 10 are expected; more than 22 has a chance below one in 5,000.
    assert rejected <= 22


def test_the_default_guard_is_hardened_and_its_twin_is_not() -> None:
    hardened, plain = (open_bundle(ROOT / "models" / "pretrained" / name) for name in NAMES)
    assert hardened.manifest.training.epsilon >= 2 / 255 - 1e-9
    assert plain.manifest.training.epsilon == 0
    assert hardened.manifest.training.network == plain.manifest.training.network
    ours, theirs = (Report.model_validate(b.evaluation) for b in (hardened, plain))
    for one, two in zip(ours.conditions[1:], theirs.conditions[1:], strict=True):
        assert one.epsilon_255 == two.epsilon_255
        assert one.mean_auroc > two.mean_auroc + 0.3
