"""The attack of the Python API."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oodguard import Guard, UnsupportedImage
from oodguard.training import attack_images as module
from oodguard.training.attack_images import Pixels, attack_images

ROOT = Path(__file__).resolve().parents[2]
PLAIN = ROOT / "models" / "pretrained" / "cifar10-standard"


def pixels(name: str) -> Pixels:
    return np.asarray(Image.open(ROOT / "tests" / "data" / name).convert("RGB"))[None]


def test_attack_images_stays_within_the_budget_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 2)
    clean = pixels("hands/00985.png")
    attacked = attack_images(PLAIN, clean, budget_255=2)
    change = np.abs(attacked.astype(int) - clean)
    assert attacked.shape == clean.shape
    assert attacked.dtype == np.uint8
    assert 0 < change.max() <= 2
    np.testing.assert_array_equal(attack_images(str(PLAIN), clean, budget_255=2), attacked)


@pytest.mark.slow
def test_attack_images_changes_the_decision_of_the_plain_model() -> None:
    guard, hand, ship = (
        Guard.open(PLAIN),
        pixels("hands/00985.png"),
        pixels("cifar10/ship/00588.png"),
    )
    assert [guard(image)[0].decision for image in (hand, ship)] == ["reject", "accept"]
    [accepted] = guard(attack_images(PLAIN, hand, budget_255=1))
    [wrong] = guard(attack_images(PLAIN, ship, budget_255=8, labels=["ship"]))
    assert accepted.decision == "accept"
    assert (wrong.decision, wrong.label != "ship") == ("accept", True)


def test_attack_images_names_what_is_invalid() -> None:
    clean = pixels("hands/00985.png")
    with pytest.raises(UnsupportedImage, match=r"shape \(32, 32, 3\), expected uint8 and \(n, 32,"):
        attack_images(PLAIN, clean[0], budget_255=1)
    with pytest.raises(UnsupportedImage, match="type float64"):
        attack_images(PLAIN, clean / 255, budget_255=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="budget_255 is 0, expected 1 to 255"):
        attack_images(PLAIN, clean, budget_255=0)
    with pytest.raises(ValueError, match=r"labels is \['boat'\], expected 1 of the classes airpl"):
        attack_images(PLAIN, clean, budget_255=1, labels=["boat"])
    with pytest.raises(ValueError, match=r"labels is \[\], expected 1 of"):
        attack_images(PLAIN, clean, budget_255=1, labels=[])
