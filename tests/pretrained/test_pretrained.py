"""The shipped bundles match their cards on real images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.shipped import NAMES, standard_report
from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.decision import Policy, rejects
from oodguard.models.preprocessing import prepare
from oodguard.training.report.model import Report
from oodguard.training.scoring.parity import onnx_run

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "tests" / "data"
SIGNS = {"no_entry": "17", "priority_road": "12", "stop": "14", "yield": "13"}
"""The folders of the pictures by the class names of the bundles; GTSRB's are numbers."""

HARDENED = {"cifar10-aloe": 2, "cifar10-aloe-8": 8, "gtsrb-aloe": 4}
"""The bundles that are hardened, with their budgets in 255ths."""


@pytest.fixture(scope="module", params=NAMES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """Open each shipped bundle."""
    return open_bundle(ROOT / "models" / "pretrained" / request.param)


def _guard(bundle: Bundle) -> CalibratedModel:
    policy = Policy(score=bundle.manifest.default_score)
    return CalibratedModel(bundle, policy, onnx_run(bundle.model))


def test_pretrained_bundle_is_small_and_its_card_holds_the_recipe(bundle: Bundle) -> None:
    folder = ROOT / "models" / "pretrained" / bundle.manifest.name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 6_000_000
    card = (folder / "README.md").read_text()
    recipe = (ROOT / "recipes" / f"{bundle.manifest.name}.toml").read_text()
    assert recipe.strip() in card
    assert bundle.manifest.training.command in card


def test_pretrained_accuracy_and_false_rejections_on_real_images(bundle: Bundle) -> None:
    report = Report.model_validate(bundle.evaluation)
    assert (report.trust.stamp, report.suite.name) == ("trusted", "standard")
    folder, names = _known(bundle)
    paths = sorted((PICTURES / folder).rglob("*.png"))
    images = [prepare(Image.open(path), bundle.manifest.input) for path in paths]
    verdicts = _guard(bundle).predict(np.stack(images))
    pairs = zip(paths, verdicts, strict=True)
    right = np.mean([names.get(p.parent.name, p.parent.name) == v.label for p, v in pairs])
    # Four standard errors of a share of so many pictures.
    margin = 4 * (report.accuracy * (1 - report.accuracy) / len(paths)) ** 0.5
    assert right == pytest.approx(report.accuracy, abs=margin)
    rejected = sum(verdict.decision == "reject" for verdict in verdicts)
    # Of 200 pictures 10 are expected at 5 %, of 60 three; more has a chance below one in 1,000.
    assert rejected <= (22 if len(verdicts) == 200 else 9)


def test_pretrained_decisions_do_not_depend_on_the_batch(bundle: Bundle) -> None:
    run = onnx_run(bundle.model)
    column = bundle.manifest.scores.index(bundle.manifest.default_score)
    paths = sorted((PICTURES / _known(bundle)[0]).rglob("*.png"))[:32]
    images = np.stack([prepare(Image.open(path), bundle.manifest.input) for path in paths])
    threshold = _guard(bundle).threshold
    alone = np.concatenate([run(images[[index]])[1][:, column] for index in range(len(images))])
    for size in (2, 3, 4, 7, 8, 16, 31, 32):
        starts = range(0, len(images), size)
        together = np.concatenate([run(images[at : at + size])[1][:, column] for at in starts])
        assert (rejects(together, threshold) == rejects(alone, threshold)).all()
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_pretrained_hardened_bundles_are_more_robust_than_their_twins() -> None:
    for name, epsilon_255 in HARDENED.items():
        ours, theirs = standard_report(name), standard_report(f"{name.partition('-')[0]}-standard")
        manifest = open_bundle(ROOT / "models" / "pretrained" / name).manifest
        assert manifest.training.epsilon == pytest.approx(epsilon_255 / 255)
        for one, two in zip(ours.conditions[1:], theirs.conditions[1:], strict=True):
            assert one.epsilon_255 == two.epsilon_255
            assert one.mean_auroc > two.mean_auroc


def _known(bundle: Bundle) -> tuple[str, dict[str, str]]:
    """Return the folder of in-distribution images, and class names that differ from its folders."""
    return ("cifar10", {}) if "ship" in bundle.manifest.classes else ("signs/test", SIGNS)
