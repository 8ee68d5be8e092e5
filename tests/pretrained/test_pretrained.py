"""The bundles that ship do on real pictures what their cards say."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.shipped import NAMES, standard_report
from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.decision import Policy, rejects
from oodguard.models.preprocessing import prepare
from oodguard.models.verdicts import Verdicts
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
    """One of the bundles that ship."""
    return open_bundle(ROOT / "models" / "pretrained" / request.param)


def _guard(bundle: Bundle) -> CalibratedModel:
    policy = Policy(score=bundle.manifest.default_score)
    return CalibratedModel(bundle, policy, onnx_run(bundle.model))


def _judge(guard: CalibratedModel, folder: str) -> tuple[list[Path], Verdicts]:
    paths = sorted((PICTURES / folder).rglob("*.png"))
    images = [prepare(Image.open(path), guard.manifest.input) for path in paths]
    return paths, guard.predict(np.stack(images))


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
    folder, names = _known(bundle)
    paths, verdicts = _judge(_guard(bundle), folder)
    pairs = zip(paths, verdicts, strict=True)
    right = np.mean([names.get(p.parent.name, p.parent.name) == v.label for p, v in pairs])
    # Four standard errors of a share of so many pictures.
    margin = 4 * (report.accuracy * (1 - report.accuracy) / len(paths)) ** 0.5
    assert right == pytest.approx(report.accuracy, abs=margin)


def test_false_rejections_on_real_pictures_keep_the_promise(bundle: Bundle) -> None:
    _, verdicts = _judge(_guard(bundle), _known(bundle)[0])
    rejected = sum(verdict.decision == "reject" for verdict in verdicts)
    # Of 200 pictures 10 are expected at 5 %, of 60 three; more has a chance below one in 1,000.
    assert rejected <= (22 if len(verdicts) == 200 else 9)


def test_a_decision_does_not_depend_on_the_batch_that_an_image_came_in(bundle: Bundle) -> None:
    run = onnx_run(bundle.model)
    column = bundle.manifest.scores.index(bundle.manifest.default_score)
    paths = sorted((PICTURES / _known(bundle)[0]).rglob("*.png"))[:32]
    images = np.stack([prepare(Image.open(path), bundle.manifest.input) for path in paths])
    threshold = _guard(bundle).threshold
    alone = np.concatenate([run(images[[index]])[1][:, column] for index in range(len(images))])
    for size in range(2, len(images) + 1):
        starts = range(0, len(images), size)
        together = np.concatenate([run(images[at : at + size])[1][:, column] for at in starts])
        assert (rejects(together, threshold) == rejects(alone, threshold)).all()
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_a_hardened_bundle_stands_where_its_twin_falls() -> None:
    for name, epsilon_255 in HARDENED.items():
        ours, theirs = standard_report(name), standard_report(f"{name.partition('-')[0]}-standard")
        manifest = open_bundle(ROOT / "models" / "pretrained" / name).manifest
        assert manifest.training.epsilon == pytest.approx(epsilon_255 / 255)
        for one, two in zip(ours.conditions[1:], theirs.conditions[1:], strict=True):
            assert one.epsilon_255 == two.epsilon_255
            assert one.mean_auroc > two.mean_auroc


def test_every_report_that_ships_can_be_trusted() -> None:
    for name in NAMES:
        assert standard_report(name).trust.stamp == "trusted", name
        assert standard_report(name).suite.name == "standard"


def _known(bundle: Bundle) -> tuple[str, dict[str, str]]:
    """Return the folder of pictures that a bundle knows, and class names by folder if others."""
    return ("cifar10", {}) if "ship" in bundle.manifest.classes else ("signs/test", SIGNS)
