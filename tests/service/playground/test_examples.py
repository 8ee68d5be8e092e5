"""The shipped examples: origin, budget, and what two shipped bundles decide on them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from oodguard.models.verdicts import Verdict
from oodguard.service.inference.model import LoadedModel, load_model
from oodguard.service.playground.assets import FOLDER
from oodguard.service.settings import Settings

EXAMPLES: list[dict[str, Any]] = json.loads((FOLDER / "examples" / "examples.json").read_text())[
    "examples"
]
ATTACKED = [each for each in EXAMPLES if each["kind"] == "attacked"]
TESTS_DATA = Path(__file__).resolve().parents[2] / "data"


def pixels(name: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(FOLDER / "examples" / name).convert("RGB"))


@pytest.fixture(scope="module")
def standard() -> LoadedModel:
    return load("cifar10-standard")


@pytest.fixture(scope="module")
def hardened() -> LoadedModel:
    return load("cifar10-aloe")


def load(name: str) -> LoadedModel:
    folder = Path(__file__).resolve().parents[3] / "models" / "pretrained" / name
    return load_model(folder, Settings())


def verdicts(model: LoadedModel, example: dict[str, Any]) -> tuple[Verdict, Verdict]:
    """Return the verdicts on the original and on the attacked image."""
    images = np.stack([pixels(example["original"]), pixels(example["file"])])
    before, after = model.guard.predict(images)
    return before, after


def test_examples_state_their_origin_and_exist() -> None:
    plain = [each["file"] for each in EXAMPLES if each["kind"] == "plain"]
    assert plain == ["ship.png", "texture.png", "sign.png", "noise.png", "black.png"]
    assert len(ATTACKED) >= 4
    stated = {name for each in EXAMPLES for name in (each["file"], each.get("original")) if name}
    assert stated == {file.name for file in (FOLDER / "examples").glob("*.png")}
    assert all(each["origin"] and each["title"] for each in EXAMPLES)
    total = sum(file.stat().st_size for file in (FOLDER / "examples").iterdir())
    assert total < 60_000


@pytest.mark.parametrize("example", ATTACKED, ids=lambda each: each["file"])
def test_attacked_example_is_within_its_budget_of_a_committed_image(
    example: dict[str, Any],
) -> None:
    original, attacked = pixels(example["original"]), pixels(example["file"])
    change = np.abs(original.astype(int) - attacked.astype(int)).max()
    assert 0 < change <= example["epsilon_255"] <= 2
    source = np.asarray(Image.open(TESTS_DATA / example["source"]).convert("RGB"))
    assert np.array_equal(original, source)


@pytest.mark.parametrize("example", ATTACKED, ids=lambda each: each["file"])
def test_attacked_example_flips_the_standard_bundle_and_not_the_hardened_one(
    example: dict[str, Any], standard: LoadedModel, hardened: LoadedModel
) -> None:
    label = example["label"]
    before, after = verdicts(standard, example)
    kept, held = verdicts(hardened, example)
    assert after.decision == "accept"
    if label is None:
        assert before.decision == kept.decision == held.decision == "reject"
    else:
        assert before.decision == kept.decision == held.decision == "accept"
        assert before.label == kept.label == held.label == label != after.label
