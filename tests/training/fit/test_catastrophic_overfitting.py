import pytest

from oodguard.training.fit.catastrophic_overfitting import (
    CatastrophicOverfittingDetector,
    RobustnessDrop,
)
from oodguard.training.run_progress import Epoch
from tests.training.recipes import RECIPE, parsed, without_tables
from tests.training.runs import epoch


def _epoch(number: int, attacked: float, **values: float) -> Epoch:
    return epoch(number, attacked_accuracy=attacked, **values)


def _drop(*epochs: Epoch, first: int = 0, images: int = 500) -> RobustnessDrop | None:
    return CatastrophicOverfittingDetector(first=first, images=images).drop(epochs[:-1], epochs[-1])


def test_lost_accuracy_with_rising_training_accuracy_is_catastrophic() -> None:
    drop = _drop(_epoch(0, 0.50), _epoch(1, 0.55), _epoch(2, 0.02, training_accuracy=0.95))
    assert drop is not None
    assert drop.is_catastrophic
    assert str(drop) == "attacked accuracy fell from 0.550 to 0.020"
    assert drop.depth == pytest.approx(0.53 / 0.22)  # the margin is 40 % of the best


def test_lost_auroc_is_catastrophic_though_accuracy_is_constant() -> None:
    drop = _drop(_epoch(0, 0.5, attacked_auroc=0.8), _epoch(1, 0.5, attacked_auroc=0.3))
    assert drop is not None
    assert drop.is_catastrophic
    assert drop.measure == "attacked_auroc"


@pytest.mark.parametrize(
    ("best", "value", "catastrophic", "small"),
    [
        (0.50, 0.29, True, False),  # the margin is 0.2
        (0.50, 0.31, False, False),
        (0.50, 0.41, False, True),  # robust overfitting
        (0.12, 0.03, False, False),  # the smallest margin is 0.1
        (0.12, 0.01, True, False),
    ],
)
def test_drop_is_compared_with_the_margin(
    best: float, value: float, catastrophic: bool, small: bool
) -> None:
    drop = _drop(_epoch(0, best), _epoch(1, value))
    assert drop is not None
    assert (drop.is_catastrophic, drop.is_small) == (catastrophic, small)


@pytest.mark.parametrize(("images", "catastrophic"), [(20, False), (500, True)])
def test_margin_covers_the_sampling_error_of_few_images(images: int, catastrophic: bool) -> None:
    drop = _drop(_epoch(0, 0.5), _epoch(1, 0.1), images=images)  # 4 standard errors of 20: 0.45
    assert drop is not None
    assert drop.is_catastrophic == catastrophic


def test_detector_ignores_rises_and_the_first_epochs() -> None:
    assert _drop(_epoch(0, 0.5), _epoch(1, 0.6)) is None
    assert _drop(_epoch(0, 0.5), _epoch(1, 0.0), first=1) is None


def test_failed_training_is_not_catastrophic_and_not_returned_to() -> None:
    drop = _drop(_epoch(0, 0.5), _epoch(1, 0.0, training_accuracy=0.1))
    assert drop is not None
    assert (drop.is_catastrophic, drop.is_small) == (False, False)


def test_catastrophic_drop_comes_before_one_with_failed_training() -> None:
    epochs = (_epoch(0, 0.6, training_accuracy=0.9), _epoch(1, 0.5, training_accuracy=0.6))
    drop = _drop(*epochs, _epoch(2, 0.1, training_accuracy=0.7))
    assert drop is not None
    assert (drop.is_catastrophic, drop.best) == (True, 0.5)


def test_detector_starts_after_the_warm_up_and_the_ramp() -> None:
    text = RECIPE.replace("epochs = 2", "epochs = 10\nwarm_up = 0.15")
    plain = parsed(text)
    ramped = parsed(text.replace("= 2\n", "= 2\nramp = 0.3\n", 1))
    assert CatastrophicOverfittingDetector.from_recipe(plain, images=500).first == 2
    assert CatastrophicOverfittingDetector.from_recipe(ramped, images=500).first == 3


def test_detector_ignores_methods_without_an_attack() -> None:
    recipe = parsed(without_tables(RECIPE, "attack").replace('"aloe"', '"oe"'))
    detector = CatastrophicOverfittingDetector.from_recipe(recipe, images=500)
    assert detector.drop((_epoch(0, 0.5),), _epoch(1, 0.0)) is None
