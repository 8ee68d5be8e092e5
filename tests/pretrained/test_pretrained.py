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

CIFAR100 = {
    "00013": "spider",
    "00225": "girl",
    "00587": "poppy",
    "00860": "keyboard",
    "01083": "motorcycle",
    "01094": "leopard",
    "01471": "forest",
    "01943": "cloud",
    "02039": "fox",
    "02188": "squirrel",
    "02251": "cattle",
    "02417": "shark",
    "02599": "palm_tree",
    "02690": "bus",
    "02760": "cockroach",
    "02815": "chimpanzee",
    "02938": "seal",
    "02985": "camel",
    "03438": "forest",
    "03595": "otter",
    "04115": "porcupine",
    "04241": "apple",
    "04570": "skunk",
    "04972": "wolf",
}
"""The classes of the pictures of tests/data/cifar100, which are not in folders by class."""

HARDENED = {
    "cifar10-aloe": 2,
    "cifar10-aloe-distilled": 2,
    "cifar10-aloe-int8": 2,
    "cifar10-aloe-8": 8,
    "cifar100-aloe": 1,
    "cifar100-aloe-2": 2,
    "gtsrb-aloe": 6,
}
"""The bundles that are hardened, with their budgets in 255ths."""

MOST_REJECTED = {200: 22, 60: 9, 24: 6}
"""By the number of pictures: at a rate of 5 %, more have a chance below one in 1,000."""


FLOAT32_VERSION_1 = "15540948d54371bdf6db6e5b72a6f5c1d7d7eaf87ed7b960eecf1f441923b60d"
"""`cifar10-aloe` 1, of which 1.post1 has the same graph and the same calibration images."""


@pytest.fixture(scope="module", params=NAMES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """Open each shipped bundle."""
    return open_bundle(ROOT / "models" / "pretrained" / request.param)


def _guard(bundle: Bundle) -> CalibratedModel:
    policy = Policy(score=bundle.manifest.default_score)
    return CalibratedModel(bundle, policy, onnx_run(bundle.model))


def test_pretrained_bundle_is_small_and_its_card_holds_the_recipe(bundle: Bundle) -> None:
    folder = ROOT / "models" / "pretrained" / bundle.manifest.name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 6 * 2**20
    card = (folder / "README.md").read_text()
    name = bundle.manifest.name.removesuffix("-int8")
    recipe = (ROOT / "recipes" / f"{name}.toml").read_text()
    assert recipe.strip() in card
    assert bundle.manifest.training.command in card


def test_pretrained_accuracy_and_false_rejections_on_real_images(bundle: Bundle) -> None:
    report = Report.model_validate(bundle.evaluation)
    assert report.suite.name == "standard"
    # An undefended network may lack checks, but none has failed.
    assert report.trust.stamp in {"trusted", "partly checked"}
    if bundle.manifest.training.epsilon:
        assert report.trust.stamp == "trusted"
    folder, names = _known(bundle)
    paths = sorted((PICTURES / folder).rglob("*.png"))
    images = [prepare(Image.open(path), bundle.manifest.input) for path in paths]
    verdicts = _guard(bundle).predict(np.stack(images))
    pairs = zip(paths, verdicts, strict=True)
    right = np.mean([names.get(_key(path), _key(path)) == each.label for path, each in pairs])
    # Four standard errors of a share of so many pictures.
    margin = 4 * (report.accuracy * (1 - report.accuracy) / len(paths)) ** 0.5
    assert right == pytest.approx(report.accuracy, abs=margin)
    rejected = sum(verdict.decision == "reject" for verdict in verdicts)
    assert rejected <= MOST_REJECTED[len(verdicts)]


def test_pretrained_decisions_do_not_depend_on_the_batch(bundle: Bundle) -> None:
    run = onnx_run(bundle.model)
    column = bundle.manifest.scores.index(bundle.manifest.default_score)
    paths = sorted((PICTURES / _known(bundle)[0]).rglob("*.png"))[:32]
    images = np.stack([prepare(Image.open(path), bundle.manifest.input) for path in paths])
    threshold = _guard(bundle).thresholds.pool.threshold
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


def test_pretrained_int8_bundle_meets_its_goals() -> None:
    int8, float32 = standard_report("cifar10-aloe-int8"), standard_report("cifar10-aloe")
    manifest = open_bundle(ROOT / "models" / "pretrained" / "cifar10-aloe-int8").manifest
    record = manifest.quantization
    assert record is not None
    assert record.source == FLOAT32_VERSION_1
    assert (record.compared_images, int8.trust.stamp) == (10_000, "trusted")
    assert record.class_flips <= 0.004
    assert record.decision_flips <= 0.0012
    assert record.speed["1"] >= 2.3
    assert record.speed["64"] >= 2.6
    card = (ROOT / "models" / "pretrained" / manifest.name / "README.md").read_text()
    assert "straight-through" in card
    assert f"`{record.command}`" in card
    for one, two in zip(int8.conditions, float32.conditions, strict=True):
        assert one.epsilon_255 == two.epsilon_255
        assert one.replayed is not None  # by the INT8 graph in ONNX Runtime
        assert one.replayed.mean_auroc >= two.mean_auroc - 0.003


def _known(bundle: Bundle) -> tuple[str, dict[str, str]]:
    """Return the folder of in-distribution images, and class names that differ from its folders."""
    return {
        "cifar10": ("cifar10", {}),
        "cifar100": ("cifar100", CIFAR100),
        "gtsrb": ("signs/test", SIGNS),
    }[bundle.manifest.name.partition("-")[0]]


def _key(path: Path) -> str:
    """Return the name of a picture's class, or of the picture if there are no folders by class."""
    return path.stem if path.parent.name == "cifar100" else path.parent.name
